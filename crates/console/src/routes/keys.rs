//! The keys of all connections are sealed with the present master key.

use std::collections::HashMap;

use askama::Template;
use axum::response::Response;
use segue_proto::v1;

use crate::{
    caller::Caller,
    failure::Failure,
    page::{Chrome, Place, html},
    services::asking,
    shown::counted,
};

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    chrome: Chrome,
    done: Option<Done>,
}

struct Done {
    resealed: String,
    current: String,
    /// Of keys that connections only refer to, none of which is sealed.
    elsewhere: Option<String>,
    /// Id and name of connections whose keys nobody can open.
    unreadable: Vec<(String, String)>,
}

fn page(caller: &Caller, done: Option<Done>) -> Result<Response, Failure> {
    let chrome = Chrome::new(caller, Place::Connections, "Seal all keys anew");
    html(&KeysPage { chrome, done })
}

pub(super) async fn ask(caller: Caller) -> Result<Response, Failure> {
    page(&caller, None)
}

pub(super) async fn rotate(caller: Caller) -> Result<Response, Failure> {
    let request = v1::RotateKeysRequest {};
    let said = caller.services.connections().rotate_keys(asking(request)).await?.into_inner();
    let all = caller.services.all_connections().await?.into_iter();
    let mut names: HashMap<_, _> = all.map(|it| (it.id, it.display_name)).collect();
    let with_name = |id: String| {
        let name = names.remove(&id).unwrap_or_else(|| id.clone());
        (id, name)
    };
    let done = Done {
        resealed: counted(said.resealed.into(), "key", "keys"),
        current: counted(said.current.into(), "key was", "keys were"),
        elsewhere: (said.elsewhere > 0)
            .then(|| counted(said.elsewhere.into(), "key is", "keys are")),
        unreadable: said.unreadable_connection_ids.into_iter().map(with_name).collect(),
    };
    page(&caller, Some(done))
}
