use askama::Template;
use axum::{extract::Path, response::Response};
use prost_types::FieldMask;
use segue_proto::v1;

use super::{go_to, problems::Problems, request_id, sources::get};
use crate::{
    caller::Caller,
    failure::Failure,
    form::{Form, address},
    page::{Chrome, Place, html_as},
    services::{asking, present},
};

/// Which input is meant by a field that is wrong.
const INPUTS: [(&str, &str); 3] =
    [("source.display_name", "display_name"), ("source.folder", "folder"), ("request_id", "")];

#[derive(Template)]
#[template(path = "source_form.html")]
struct FormPage {
    chrome: Chrome,
    problems: Problems,
    /// Where it is sent.
    action: String,
    /// Where one goes without saving, and what is there.
    back: String,
    back_words: String,
    request_id: String,
    display_name: String,
    folder: String,
}

/// `is`: the source that is being edited, as it is.
fn page(
    caller: &Caller,
    is: Option<v1::Source>,
    form: &Form,
    problems: Problems,
) -> Result<Response, Failure> {
    let is_new = is.is_none();
    let v1::Source { id, display_name, folder, .. } = is.unwrap_or_default();
    let (title, back, action, back_words) = if is_new {
        ("Add a source", "/sources".to_owned(), "/sources/new".to_owned(), "Sources".to_owned())
    } else {
        let back = format!("/sources/{id}");
        ("Edit a source", back.clone(), format!("{back}/edit"), display_name.clone())
    };
    let given = |name: &str, otherwise: String| {
        if form.has(name) { form.text(name).to_owned() } else { otherwise }
    };
    let page = FormPage {
        chrome: Chrome::new(caller, Place::Sources, title),
        problems,
        action,
        back,
        back_words,
        request_id: given("request_id", request_id()),
        display_name: given("display_name", display_name),
        folder: given("folder", folder),
    };
    html_as(page.problems.status(), &page)
}

/// As the form says it.
fn source_of(form: &Form, id: String) -> v1::Source {
    v1::Source {
        id,
        display_name: form.text("display_name").to_owned(),
        folder: form.text("folder").to_owned(),
        ..v1::Source::default()
    }
}

fn saved(source: Option<v1::Source>) -> Result<Response, Failure> {
    let id = present(source)?.id;
    Ok(go_to(&address(&format!("/sources/{id}"), &[("done", "source-saved")])))
}

pub(super) async fn new(caller: Caller) -> Result<Response, Failure> {
    page(&caller, None, &Form::default(), Problems::default())
}

pub(super) async fn create(caller: Caller, form: Form) -> Result<Response, Failure> {
    let source = Some(source_of(&form, String::new()));
    let request_id = form.text("request_id").to_owned();
    let request = v1::CreateSourceRequest { source, request_id };
    match caller.services.sources().create_source(asking(request)).await {
        Ok(made) => saved(made.into_inner().source),
        Err(status) => page(&caller, None, &form, Problems::of(&status, &INPUTS)?),
    }
}

pub(super) async fn edit(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    let source = get(&caller, id).await?;
    page(&caller, Some(source), &Form::default(), Problems::default())
}

pub(super) async fn update(
    caller: Caller,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let paths = vec!["display_name".to_owned(), "folder".to_owned()];
    let request = v1::UpdateSourceRequest {
        source: Some(source_of(&form, id.clone())),
        update_mask: Some(FieldMask { paths }),
    };
    match caller.services.sources().update_source(asking(request)).await {
        Ok(changed) => saved(changed.into_inner().source),
        Err(status) => {
            let problems = Problems::of(&status, &INPUTS)?;
            page(&caller, Some(get(&caller, id).await?), &form, problems)
        }
    }
}
