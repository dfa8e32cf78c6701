use askama::Template;
use axum::{extract::Path, response::Response};
use prost_types::FieldMask;
use segue_proto::v1;

use super::{
    connections::get,
    go_to,
    key_fields::{KeyAt, KeyFields, KeyFrom},
    problems::Problems,
    request_id,
};
use crate::{
    caller::Caller,
    failure::Failure,
    form::{Form, address},
    page::{Chrome, Place, html_as},
    services::{asking, present},
};

/// The text that whoever makes a connection agrees to.
const CONSENT: &str = include_str!("../../../../docs/consent.md");

/// Which input is meant by a field that is wrong: of those for the key, the one that was chosen.
fn inputs(from: KeyFrom) -> [(&'static str, &'static str); 8] {
    [
        ("connection.display_name", "display_name"),
        ("connection.api_key", "api_key"),
        ("connection.key_reference", from.input()),
        ("connection.consent.accepted_by", "accepted_by"),
        ("connection.consent", "agree"),
        ("connection.sharing.list_ids", "lists"),
        ("connection.sharing", "sharing"),
        ("request_id", ""),
    ]
}

#[derive(Template)]
#[template(path = "connection_new.html")]
struct NewPage {
    chrome: Chrome,
    problems: Problems,
    request_id: String,
    display_name: String,
    shared: bool,
    lists: String,
    key: KeyFields,
    accepted_by: String,
    agreed: bool,
    consent: Consent,
}

#[derive(Template)]
#[template(path = "connection_edit.html")]
struct EditPage {
    chrome: Chrome,
    problems: Problems,
    id: String,
    name: String,
    display_name: String,
    shared: bool,
    lists: String,
    key: KeyFields,
}

/// The text as it stands in the documentation: a version, a first sentence, numbered points.
struct Consent {
    version: &'static str,
    opening: &'static str,
    points: Vec<String>,
}

impl Consent {
    fn current() -> Self {
        let mut consent = Self { version: "", opening: "", points: Vec::new() };
        for line in CONSENT.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let numbered = line.split_once(". ").filter(|(number, _)| number.parse::<u8>().is_ok());
            if let Some(version) = line.strip_prefix("Version ") {
                consent.version = version;
            } else if let Some((_, point)) = numbered {
                consent.points.push(point.to_owned());
            } else if let Some(point) = consent.points.last_mut() {
                point.push(' ');
                point.push_str(line);
            } else if !line.starts_with('#') {
                consent.opening = line;
            }
        }
        consent
    }
}

/// Whom the form lets use the connection.
fn sharing(form: &Form) -> v1::Sharing {
    let contributors = form.text("sharing") == "contributors";
    // What stands in an input that is not shown is not meant.
    let list_ids = if contributors { form.lines("lists") } else { Vec::new() };
    v1::Sharing { contributors, list_ids }
}

fn new_page(caller: &Caller, problems: Problems, form: &Form) -> NewPage {
    let given = |name: &str, otherwise: String| {
        if form.has(name) { form.text(name).to_owned() } else { otherwise }
    };
    NewPage {
        chrome: Chrome::new(caller, Place::Connections, "Add a connection"),
        problems,
        request_id: given("request_id", request_id()),
        display_name: given("display_name", String::new()),
        shared: form.text("sharing") == "contributors",
        lists: given("lists", String::new()),
        key: KeyFields::new(KeyFrom::chosen(form, KeyFrom::Pasted), form, None),
        accepted_by: given("accepted_by", caller.name.clone()),
        agreed: form.has("agree"),
        consent: Consent::current(),
    }
}

pub(super) async fn new(caller: Caller) -> Result<Response, Failure> {
    let page = new_page(&caller, Problems::default(), &Form::default());
    html_as(page.problems.status(), &page)
}

pub(super) async fn create(caller: Caller, form: Form) -> Result<Response, Failure> {
    let again =
        |problems: Problems| html_as(problems.status(), &new_page(&caller, problems, &form));
    let mut problems = Problems::default();
    if form.text("display_name").is_empty() {
        problems.note("display_name", "Give it a name.");
    }
    let from = KeyFrom::chosen(&form, KeyFrom::Pasted);
    from.check(&form, &mut problems);
    if !form.has("agree") {
        problems.note(
            "agree",
            "Nothing is sent to Klaviyo without consent: read the text, then tick this.",
        );
    }
    if problems.any() {
        return again(problems);
    }
    let consent = v1::Consent {
        text_version: Consent::current().version.to_owned(),
        accepted_by: form.text("accepted_by").to_owned(),
        accepted_at: None,
    };
    let mut connection = v1::Connection {
        display_name: form.text("display_name").to_owned(),
        consent: Some(consent),
        sharing: Some(sharing(&form)),
        ..v1::Connection::default()
    };
    from.tell(&form, &mut connection);
    let request = v1::CreateConnectionRequest {
        connection: Some(connection),
        request_id: form.text("request_id").to_owned(),
    };
    match caller.services.connections().create_connection(asking(request)).await {
        Ok(made) => {
            let made = present(made.into_inner().connection)?;
            Ok(go_to(&address(&format!("/connections/{}", made.id), &[("done", "connected")])))
        }
        Err(status) => again(Problems::of(&status, &inputs(from))?),
    }
}

fn edit_page(
    caller: &Caller,
    problems: Problems,
    form: &Form,
    connection: v1::Connection,
) -> EditPage {
    let now = KeyAt::of(connection.key_reference);
    EditPage {
        chrome: Chrome::new(caller, Place::Connections, "Edit a connection"),
        problems,
        id: connection.id,
        name: connection.display_name,
        display_name: form.text("display_name").to_owned(),
        shared: form.text("sharing") == "contributors",
        lists: form.text("lists").to_owned(),
        key: KeyFields::new(KeyFrom::chosen(form, KeyFrom::AsItIs), form, Some(now)),
    }
}

pub(super) async fn edit(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    let mut connection = get(&caller, id).await?;
    let sharing = connection.sharing.take().unwrap_or_default();
    let display_name = connection.display_name.clone();
    let page = EditPage {
        display_name,
        shared: sharing.contributors,
        lists: sharing.list_ids.join("\n"),
        ..edit_page(&caller, Problems::default(), &Form::default(), connection)
    };
    html_as(page.problems.status(), &page)
}

pub(super) async fn update(
    caller: Caller,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let from = KeyFrom::chosen(&form, KeyFrom::AsItIs);
    let mut problems = Problems::default();
    from.check(&form, &mut problems);
    if !problems.any() {
        match save(&caller, id.clone(), from, &form).await {
            Ok(saved) => {
                let saved = present(saved.into_inner().connection)?;
                let place = format!("/connections/{}", saved.id);
                return Ok(go_to(&address(&place, &[("done", "changed")])));
            }
            Err(status) => problems = Problems::of(&status, &inputs(from))?,
        }
    }
    let connection = get(&caller, id).await?;
    html_as(problems.status(), &edit_page(&caller, problems, &form, connection))
}

async fn save(
    caller: &Caller,
    id: String,
    from: KeyFrom,
    form: &Form,
) -> Result<tonic::Response<v1::UpdateConnectionResponse>, tonic::Status> {
    let mut connection = v1::Connection {
        id,
        display_name: form.text("display_name").to_owned(),
        sharing: Some(sharing(form)),
        ..v1::Connection::default()
    };
    let key = from.tell(form, &mut connection);
    let paths = ["display_name", "sharing"].into_iter().chain(key).map(str::to_owned).collect();
    let request = v1::UpdateConnectionRequest {
        connection: Some(connection),
        update_mask: Some(FieldMask { paths }),
    };
    caller.services.connections().update_connection(asking(request)).await
}

#[cfg(test)]
mod tests {
    use super::{CONSENT, Consent, Form, sharing};

    #[test]
    fn consent_is_shown_with_its_version_and_all_its_points() {
        let consent = Consent::current();
        assert!(CONSENT.contains(&format!("Version {}\n", consent.version)));
        assert!(!consent.version.is_empty() && consent.opening.ends_with(':'));
        let numbered = (1..100).take_while(|nth| CONSENT.contains(&format!("\n{nth}. "))).count();
        assert_eq!(consent.points.len(), numbered);
        let words = |text: &str| text.split_whitespace().count();
        let title = CONSENT.lines().next().unwrap();
        let around = words(title) + words("Version x") + words(consent.opening) + numbered;
        let shown: usize = consent.points.iter().map(|point| words(point)).sum();
        assert_eq!(words(CONSENT), shown + around, "a word of the text is not shown");
    }

    #[test]
    fn lists_are_for_those_with_whom_a_connection_is_shared() {
        let of = |encoded: &str| sharing(&Form::parse(encoded.as_bytes()));
        let shared = of("sharing=contributors&lists=A%0D%0AB");
        assert!(shared.contributors && shared.list_ids == ["A", "B"]);
        let own = of("sharing=administrators&lists=A");
        assert!(!own.contributors && own.list_ids.is_empty());
        assert!(!of("").contributors);
    }
}
