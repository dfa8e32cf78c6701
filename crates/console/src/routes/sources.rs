use std::collections::BTreeMap;

use askama::Template;
use axum::{extract::Path, response::Response};
use segue_proto::v1;

use super::{
    go_to,
    source_files::{Look, Looked},
};
use crate::{
    caller::Caller,
    failure::Failure,
    form::Form,
    page::{Chrome, Place, html},
    services::{asking, present},
    shown::{Markup, counted, when_given},
};

#[derive(Template)]
#[template(path = "sources.html")]
struct SourcesPage {
    chrome: Chrome,
    sources: Vec<SourceRow>,
    may_create: bool,
    may_look: bool,
}

struct SourceRow {
    id: String,
    name: String,
    folder: String,
    exports: String,
    created: Option<Markup>,
}

#[derive(Template)]
#[template(path = "source.html")]
struct SourcePage {
    chrome: Chrome,
    name: String,
    /// `None`: of the source folder itself, which is nobody's to change.
    about: Option<About>,
    looked: Option<Looked>,
}

struct About {
    id: String,
    folder: String,
    created: Option<Markup>,
    updated: Option<Markup>,
    exports: Vec<Named>,
    may_edit: bool,
    may_remove: bool,
}

#[derive(Template)]
#[template(path = "source_remove.html")]
struct RemovePage {
    chrome: Chrome,
    id: String,
    name: String,
    exports: Vec<Named>,
}

struct Named {
    id: String,
    name: String,
}

/// What sources are called, by their ids.
pub(super) async fn names(caller: &Caller) -> Result<BTreeMap<String, String>, Failure> {
    let all = caller.services.all_sources().await?;
    Ok(all.into_iter().map(|it| (it.id, it.display_name)).collect())
}

pub(super) async fn list(caller: Caller, form: Form) -> Result<Response, Failure> {
    let services = &caller.services;
    let (sources, exports) = tokio::join!(services.all_sources(), services.all_exports(""));
    let mut users: BTreeMap<String, u64> = BTreeMap::new();
    for export in exports? {
        *users.entry(export.source_id).or_default() += 1;
    }
    let row = |source: v1::Source| SourceRow {
        exports: counted(users.get(&source.id).copied().unwrap_or(0), "export", "exports"),
        name: source.display_name,
        folder: source.folder,
        created: when_given(source.created_at),
        id: source.id,
    };
    html(&SourcesPage {
        chrome: Chrome::new(&caller, Place::Sources, "Sources").after(&form),
        sources: sources?.into_iter().map(row).collect(),
        may_create: caller.may("SourceService/CreateSource"),
        may_look: caller.may("SourceService/ListSegments"),
    })
}

pub(super) async fn get(caller: &Caller, id: String) -> Result<v1::Source, Failure> {
    let request = v1::GetSourceRequest { id };
    let found = caller.services.sources().get_source(asking(request)).await?;
    Ok(present(found.into_inner().source)?)
}

async fn users(caller: &Caller, id: &str) -> Result<Vec<Named>, Failure> {
    let exports = caller.services.all_exports("").await?.into_iter();
    let named = |export: v1::Export| Named { id: export.id, name: export.display_name };
    Ok(exports.filter(|export| export.source_id == id).map(named).collect())
}

pub(super) async fn show(
    caller: Caller,
    Path(id): Path<String>,
    form: Form,
) -> Result<Response, Failure> {
    let source = get(&caller, id).await?;
    let here = format!("/sources/{}", source.id);
    let look = Look { source: &source.id, here: &here, form: &form };
    let (exports, looked) = tokio::join!(users(&caller, &source.id), look.look(&caller));
    let about = About {
        exports: exports?,
        folder: source.folder,
        created: when_given(source.created_at),
        updated: when_given(source.updated_at),
        may_edit: caller.may("SourceService/UpdateSource"),
        may_remove: caller.may("SourceService/DeleteSource"),
        id: source.id,
    };
    html(&SourcePage {
        chrome: Chrome::new(&caller, Place::Sources, source.display_name.as_str()).after(&form),
        name: source.display_name,
        about: Some(about),
        looked: looked?,
    })
}

/// What no source has a name for.
pub(super) async fn show_folder(caller: Caller, form: Form) -> Result<Response, Failure> {
    let name = "The source folder itself";
    let look = Look { source: "", here: "/sources/folder", form: &form };
    let looked = look.look(&caller).await?;
    let chrome = Chrome::new(&caller, Place::Sources, name);
    html(&SourcePage { chrome, name: name.to_owned(), about: None, looked })
}

pub(super) async fn ask(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    let source = get(&caller, id).await?;
    html(&RemovePage {
        chrome: Chrome::new(&caller, Place::Sources, "Remove a source"),
        exports: users(&caller, &source.id).await?,
        id: source.id,
        name: source.display_name,
    })
}

pub(super) async fn remove(caller: Caller, Path(id): Path<String>) -> Result<Response, Failure> {
    let request = v1::DeleteSourceRequest { id };
    caller.services.sources().delete_source(asking(request)).await?;
    Ok(go_to("/sources?done=source-removed"))
}

#[cfg(test)]
mod tests {
    use askama::Template as _;

    use super::{SourceRow, SourcesPage};
    use crate::page::Chrome;

    fn list(may: bool) -> String {
        let hostile = "<script>alert(1)</script>";
        let chrome = Chrome {
            title: "Sources".to_owned(),
            name: "Ada".to_owned(),
            role: "viewer",
            csrf: "0".to_owned(),
            links: Vec::new(),
            notice: None,
        };
        let row = SourceRow {
            id: "src_1".to_owned(),
            name: hostile.to_owned(),
            folder: hostile.to_owned(),
            exports: "1 export".to_owned(),
            created: None,
        };
        let page = SourcesPage { chrome, sources: vec![row], may_create: may, may_look: may };
        page.render().unwrap()
    }

    #[test]
    fn whoever_may_only_look_gets_no_button_and_names_are_text() {
        for button in ["Add a source", "The source folder itself"] {
            assert!(list(true).contains(button), "{button}");
            assert!(!list(false).contains(button), "{button}");
        }
        assert!(!list(true).contains("<script>alert"));
    }
}
