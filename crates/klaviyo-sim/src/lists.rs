//! The lists of one account, and who is on them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    clock::{Millis, rfc3339},
    profiles::{Number, render::sparse},
    query::Query,
};

#[derive(Debug, Default)]
pub(crate) struct Lists {
    by_id: BTreeMap<String, List>,
}

#[derive(Debug)]
pub(crate) struct List {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) opt_in_process: String,
    pub(crate) created: Millis,
    pub(crate) updated: Millis,
    members: Members,
}

impl List {
    pub(crate) fn new(id: String, name: String, opt_in_process: String, now: Millis) -> Self {
        let members = Members { since: now, ..Members::default() };
        Self { id, name, opt_in_process, created: now, updated: now, members }
    }

    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    pub(crate) fn members_mut(&mut self) -> &mut Members {
        &mut self.members
    }

    /// The text fields that filters name.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        match field {
            "id" => Some(&self.id),
            "name" => Some(&self.name),
            _ => None,
        }
    }

    /// The time fields that filters name.
    pub(crate) fn time(&self, field: &str) -> Millis {
        if field == "created" { self.created } else { self.updated }
    }

    pub(crate) fn render(&self, base: &str, query: &Query) -> Value {
        let attributes = json!({
            "name": self.name,
            "created": rfc3339(self.created),
            "updated": rfc3339(self.updated),
            "opt_in_process": self.opt_in_process,
        });
        let Value::Object(mut attributes) = attributes else { return attributes };
        if query.names("additional-fields[list]", "profile_count") {
            attributes.insert("profile_count".to_owned(), self.members.count.into());
        }
        let this = format!("{base}/api/lists/{}", self.id);
        let related = |what: &str| {
            json!({"links": {"self": format!("{this}/relationships/{what}"),
                             "related": format!("{this}/{what}")}})
        };
        json!({
            "type": "list",
            "id": self.id,
            "attributes": sparse(attributes, query.fields("list").as_deref()),
            "relationships": {
                "profiles": related("profiles"),
                "tags": related("tags"),
                "flow-triggers": related("flow-triggers"),
            },
            "links": {"self": this},
        })
    }
}

impl Lists {
    pub(crate) fn get(&self, id: &str) -> Option<&List> {
        self.by_id.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut List> {
        self.by_id.get_mut(id)
    }

    pub(crate) fn insert(&mut self, list: List) {
        self.by_id.insert(list.id.clone(), list);
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<List> {
        self.by_id.remove(id)
    }

    /// In the order of their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &List> {
        self.by_id.values()
    }
}

/// Who is on a list, and since when: four bytes a profile of the account.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// The list's creation; times are counted from here.
    since: Millis,
    /// By profile: 0 when it is no member, else milliseconds after `since`, plus 1. Seven weeks fit.
    joined: Vec<u32>,
    count: usize,
}

impl Members {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// A profile that is on the list stays as it is.
    pub(crate) fn add(&mut self, number: Number, now: Millis) {
        let index = number as usize;
        if index >= self.joined.len() {
            self.joined.resize(index + 1, 0);
        }
        if self.joined[index] == 0 {
            let after = now.saturating_sub(self.since).saturating_add(1);
            self.joined[index] = u32::try_from(after).unwrap_or(u32::MAX);
            self.count += 1;
        }
    }

    /// Whether it was on the list.
    pub(crate) fn remove(&mut self, number: Number) -> bool {
        let Some(joined) = self.joined.get_mut(number as usize) else { return false };
        let was_member = std::mem::take(joined) != 0;
        self.count -= usize::from(was_member);
        was_member
    }

    pub(crate) fn joined(&self, number: Number) -> Option<Millis> {
        match self.joined.get(number as usize) {
            None | Some(0) => None,
            Some(after) => Some(self.since + Millis::from(*after) - 1),
        }
    }

    /// Members from `first` on, in the order in which the profiles were created.
    pub(crate) fn from(&self, first: Number) -> impl Iterator<Item = Number> {
        let rest = self.joined.get(first as usize..).unwrap_or_default();
        (first..).zip(rest).filter(|(_, joined)| **joined != 0).map(|(number, _)| number)
    }
}

#[cfg(test)]
mod tests {
    use super::Members;

    #[test]
    fn member_counts_once_and_keeps_the_time_it_joined() {
        let mut members = Members { since: 100, ..Members::default() };
        members.add(7, 100);
        members.add(7, 200);
        members.add(2, 150);
        assert_eq!(
            (members.len(), members.joined(7), members.joined(2)),
            (2, Some(100), Some(150))
        );
        assert_eq!(members.from(3).collect::<Vec<_>>(), [7]);
        assert!(members.remove(7) && !members.remove(7) && !members.remove(99));
        assert_eq!((members.len(), members.joined(7)), (1, None));
    }
}
