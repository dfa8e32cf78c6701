//! Where a connection has its key, and how a form asks for it.

use askama::Template;
use segue_proto::v1::{self, key_reference::Place};

use super::problems::Problems;
use crate::form::Form;

/// Where the key is, in words.
#[derive(Template)]
#[template(path = "key_at.html")]
pub(super) struct KeyAt {
    /// `None`: sealed with Segue.
    place: Option<Place>,
}

impl KeyAt {
    pub(super) fn of(reference: Option<v1::KeyReference>) -> Self {
        Self { place: reference.and_then(|it| it.place) }
    }
}

/// Where somebody wants the key to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyFrom {
    /// A key that a connection has already.
    AsItIs,
    Pasted,
    Variable,
    File,
}

impl KeyFrom {
    /// `otherwise`: what is meant by a form that does not say it.
    pub(super) fn chosen(form: &Form, otherwise: Self) -> Self {
        match form.text("key_from") {
            "pasted" => Self::Pasted,
            "variable" => Self::Variable,
            "file" => Self::File,
            _ => otherwise,
        }
    }

    /// The input that belongs to it, which is where a service's words about a reference stand.
    pub(super) fn input(self) -> &'static str {
        match self {
            Self::AsItIs => "key_from",
            Self::Pasted => "api_key",
            Self::Variable => "key_env",
            Self::File => "key_file",
        }
    }

    /// Notes that what was chosen is not there.
    pub(super) fn check(self, form: &Form, problems: &mut Problems) {
        let words = match self {
            Self::AsItIs => return,
            Self::Pasted => "Paste the private key.",
            Self::Variable => "Name the variable.",
            Self::File => "Name the file.",
        };
        if form.given(self.input()).is_none() {
            problems.note(self.input(), words);
        }
    }

    /// Tells `connection` the key, and returns the field that was set. What stands in the other inputs is not meant.
    pub(super) fn tell(self, form: &Form, connection: &mut v1::Connection) -> Option<&'static str> {
        let text = form.text(self.input()).to_owned();
        let place = match self {
            Self::AsItIs => return None,
            Self::Pasted => {
                connection.api_key = text;
                return Some("api_key");
            }
            Self::Variable => Place::Env(text),
            Self::File => Place::File(text),
        };
        connection.key_reference = Some(v1::KeyReference { place: Some(place) });
        Some("key_reference")
    }
}

/// The part of a form that asks for the key. A key that was pasted is not shown again.
pub(super) struct KeyFields {
    pub(super) from: KeyFrom,
    pub(super) variable: String,
    pub(super) file: String,
    /// Of a connection that is there.
    pub(super) now: Option<KeyAt>,
}

impl KeyFields {
    pub(super) fn new(from: KeyFrom, form: &Form, now: Option<KeyAt>) -> Self {
        Self {
            from,
            variable: form.text(KeyFrom::Variable.input()).to_owned(),
            file: form.text(KeyFrom::File.input()).to_owned(),
            now,
        }
    }
}

#[cfg(test)]
mod tests {
    use askama::Template as _;

    use super::{Form, KeyAt, KeyFrom, Place, Problems, v1};

    fn told(encoded: &str, otherwise: KeyFrom) -> (Option<&'static str>, v1::Connection, Problems) {
        let form = Form::parse(encoded.as_bytes());
        let from = KeyFrom::chosen(&form, otherwise);
        let (mut connection, mut problems) = (v1::Connection::default(), Problems::default());
        from.check(&form, &mut problems);
        (from.tell(&form, &mut connection), connection, problems)
    }

    #[test]
    fn only_what_is_chosen_is_told_whatever_stands_in_the_other_inputs() {
        let all = "&api_key=pk_1&key_env=SEGUE_KLAVIYO_KEY_A&key_file=shop%2Fkey";
        let of = |from: &str| told(&format!("key_from={from}{all}"), KeyFrom::AsItIs);
        let (path, connection, _) = of("pasted");
        assert_eq!((path, &*connection.api_key), (Some("api_key"), "pk_1"));
        assert!(connection.key_reference.is_none());
        for (from, place) in [
            ("variable", Place::Env("SEGUE_KLAVIYO_KEY_A".to_owned())),
            ("file", Place::File("shop/key".to_owned())),
        ] {
            let (path, connection, _) = of(from);
            assert_eq!(path, Some("key_reference"));
            assert_eq!(connection.key_reference.and_then(|it| it.place), Some(place));
            assert_eq!(connection.api_key, "");
        }
        let (path, connection, problems) = of("as_it_is");
        assert!(path.is_none() && !problems.any() && connection == v1::Connection::default());
    }

    #[test]
    fn what_was_chosen_has_to_be_there() {
        for (from, input) in [("pasted", "api_key"), ("variable", "key_env"), ("file", "key_file")]
        {
            let (_, _, problems) = told(&format!("key_from={from}&{input}=+"), KeyFrom::AsItIs);
            assert!(!problems.with(input).is_empty(), "{from}");
        }
        let (_, _, problems) = told("", KeyFrom::Pasted);
        assert!(!problems.with("api_key").is_empty());
    }

    #[test]
    fn place_of_a_key_is_told_as_text() {
        let of = |place| KeyAt::of(Some(v1::KeyReference { place })).render().unwrap();
        assert!(of(Some(Place::Env("A_B".to_owned()))).starts_with("In the variable <code>A_B<"));
        let file = of(Some(Place::File("<b>".to_owned())));
        assert!(file.starts_with("In the file <code>&#60;b&#62;</code>"), "{file}");
        assert!(KeyAt::of(None).render().unwrap().starts_with("Sealed"));
    }
}
