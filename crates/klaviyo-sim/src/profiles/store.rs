//! The profiles of one account, compactly: a list of ten million fits into a gigabyte.

use std::borrow::Cow;

use super::{id, index::Index, text::Addresses};
use crate::{
    clock::Millis,
    unknowns::{EmailCase, Identifier, IdentifierConflict, Unknowns},
};

/// A profile, by the order of creation.
pub(crate) type Number = u32;

/// All profiles, and where each identifier leads.
#[derive(Debug)]
pub(crate) struct Profiles {
    account: u32,
    rules: Rules,
    addresses: Addresses,
    rows: Vec<Row>,
    by_email: Index,
    by_phone: Index,
    by_external_id: Index,
}

#[derive(Debug, Clone)]
struct Rules {
    email_case: EmailCase,
    precedence: [Identifier; 4],
    conflict: IdentifierConflict,
    forget_payloads: bool,
}

#[derive(Debug)]
struct Row {
    email: super::text::Address,
    created: Millis,
    updated: Millis,
    /// What few profiles have when payloads are forgotten.
    details: Option<Box<Details>>,
}

#[derive(Debug, Default)]
struct Details {
    phone_number: Option<Box<str>>,
    external_id: Option<Box<str>>,
    /// The JSON object as sent, or as merged from all that were sent.
    attributes: Option<Box<str>>,
}

/// Who a profile is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Identity<'a> {
    pub(crate) id: Option<&'a str>,
    pub(crate) email: Option<&'a str>,
    pub(crate) phone_number: Option<&'a str>,
    pub(crate) external_id: Option<&'a str>,
}

impl<'a> Identity<'a> {
    fn get(&self, identifier: Identifier) -> Option<&'a str> {
        match identifier {
            Identifier::Id => self.id,
            Identifier::Email => self.email,
            Identifier::PhoneNumber => self.phone_number,
            Identifier::ExternalId => self.external_id,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.id.is_none()
            && self.email.is_none()
            && self.phone_number.is_none()
            && self.external_id.is_none()
    }

    pub(crate) fn is_only_phone(&self) -> bool {
        let Self { id, email, phone_number, external_id } = self;
        phone_number.is_some() && id.is_none() && email.is_none() && external_id.is_none()
    }
}

/// Who an identity is among the profiles that exist.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    New,
    Known(Number),
    /// Identifiers of several profiles; this is one that is in the way.
    Conflict(Number),
}

impl Profiles {
    pub(crate) fn new(account: u32, unknowns: &Unknowns, forget_payloads: bool) -> Self {
        Self {
            account,
            rules: Rules {
                email_case: unknowns.email_case,
                precedence: unknowns.identifier_precedence,
                conflict: unknowns.identifier_conflict,
                forget_payloads,
            },
            addresses: Addresses::default(),
            rows: Vec::new(),
            by_email: Index::default(),
            by_phone: Index::default(),
            by_external_id: Index::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn numbers(&self) -> std::ops::Range<Number> {
        0..u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn id(&self, number: Number) -> String {
        id::of(self.account, number)
    }

    pub(crate) fn email(&self, number: Number) -> Option<&str> {
        self.addresses.get(self.rows[number as usize].email)
    }

    pub(crate) fn phone_number(&self, number: Number) -> Option<&str> {
        self.details(number)?.phone_number.as_deref()
    }

    pub(crate) fn external_id(&self, number: Number) -> Option<&str> {
        self.details(number)?.external_id.as_deref()
    }

    /// The JSON object that was sent, identifiers included; `None` when it was not kept.
    pub(crate) fn attributes(&self, number: Number) -> Option<&str> {
        self.details(number)?.attributes.as_deref()
    }

    pub(crate) fn created(&self, number: Number) -> Millis {
        self.rows[number as usize].created
    }

    pub(crate) fn updated(&self, number: Number) -> Millis {
        self.rows[number as usize].updated
    }

    pub(crate) fn find(&self, identifier: Identifier, text: &str) -> Option<Number> {
        match identifier {
            Identifier::Id => id::number(self.account, text).filter(|number| self.exists(*number)),
            Identifier::Email => {
                let email = self.fold(text);
                self.by_email.find(&email, |number| self.email(number) == Some(&email))
            }
            Identifier::PhoneNumber => {
                self.by_phone.find(text, |number| self.phone_number(number) == Some(text))
            }
            Identifier::ExternalId => {
                self.by_external_id.find(text, |number| self.external_id(number) == Some(text))
            }
        }
    }

    /// The first identifier, by precedence, that is known decides; the others must not disagree.
    pub(crate) fn resolve(&self, identity: &Identity<'_>) -> Resolution {
        let mut target = None;
        for identifier in self.rules.precedence {
            let found = identity.get(identifier).and_then(|text| self.find(identifier, text));
            match (target, found) {
                (None, found) => target = found,
                (Some(target), Some(other))
                    if target != other && self.rules.conflict == IdentifierConflict::Fails =>
                {
                    return Resolution::Conflict(other);
                }
                _ => {}
            }
        }
        target.map_or(Resolution::New, Resolution::Known)
    }

    /// Another profile than `number` that has one of these identifiers.
    pub(crate) fn owner_beside(&self, number: Number, identity: &Identity<'_>) -> Option<Number> {
        let found = |identifier| {
            let owner = identity.get(identifier).and_then(|text| self.find(identifier, text));
            owner.filter(|owner| *owner != number)
        };
        self.rules.precedence.into_iter().find_map(found)
    }

    /// A new profile. Nobody may have one of these identifiers, as [`Self::resolve`] has shown.
    #[expect(clippy::expect_used, reason = "memory ends before the numbers do")]
    pub(crate) fn insert(
        &mut self,
        identity: &Identity<'_>,
        attributes: &str,
        now: Millis,
    ) -> Number {
        let number = u32::try_from(self.rows.len()).expect("ids end at four billion profiles");
        let email = super::text::Address::NONE;
        self.rows.push(Row { email, created: now, updated: now, details: None });
        self.give(number, identity);
        self.set_attributes(number, attributes, now);
        number
    }

    /// Whether attributes are kept at all.
    pub(crate) fn keeps_attributes(&self) -> bool {
        !self.rules.forget_payloads
    }

    /// Replaces what is kept of the attributes; only the time when payloads are forgotten.
    pub(crate) fn set_attributes(&mut self, number: Number, attributes: &str, now: Millis) {
        self.rows[number as usize].updated = now;
        if self.keeps_attributes() {
            self.details_mut(number).attributes = Some(attributes.into());
        }
    }

    /// Gives a known profile these identifiers, but for those that somebody has.
    pub(crate) fn identify(&mut self, number: Number, identity: &Identity<'_>) {
        let free = |identifier| {
            identity.get(identifier).filter(|text| self.find(identifier, text).is_none())
        };
        let free = Identity {
            id: None,
            email: free(Identifier::Email),
            phone_number: free(Identifier::PhoneNumber),
            external_id: free(Identifier::ExternalId),
        };
        self.give(number, &free);
    }

    fn give(&mut self, number: Number, identity: &Identity<'_>) {
        if let Some(email) = identity.email {
            let email = self.fold(email);
            if let Some(old) = self.addresses.get(self.rows[number as usize].email) {
                self.by_email.remove(old, number);
            }
            self.rows[number as usize].email = self.addresses.push(&email);
            self.by_email.insert(&email, number);
        }
        if let Some(phone) = identity.phone_number {
            if let Some(old) = self.details_mut(number).phone_number.replace(phone.into()) {
                self.by_phone.remove(&old, number);
            }
            self.by_phone.insert(phone, number);
        }
        if let Some(external_id) = identity.external_id {
            if let Some(old) = self.details_mut(number).external_id.replace(external_id.into()) {
                self.by_external_id.remove(&old, number);
            }
            self.by_external_id.insert(external_id, number);
        }
    }

    fn fold<'e>(&self, email: &'e str) -> Cow<'e, str> {
        let folds = self.rules.email_case == EmailCase::Folded;
        if folds && email.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Cow::Owned(email.to_ascii_lowercase());
        }
        Cow::Borrowed(email)
    }

    fn exists(&self, number: Number) -> bool {
        (number as usize) < self.rows.len()
    }

    fn details(&self, number: Number) -> Option<&Details> {
        self.rows[number as usize].details.as_deref()
    }

    fn details_mut(&mut self, number: Number) -> &mut Details {
        self.rows[number as usize].details.get_or_insert_default()
    }
}
