//! The pages.

mod audit;
mod connection_form;
mod connections;
mod export_actions;
mod export_form;
mod exports;
mod guard_form;
mod jobs;
mod key_fields;
mod keys;
mod list_picker;
mod overview;
mod preview;
mod problems;
mod rejects;
mod run_parts;
mod runs;
mod schedule;
mod schedule_form;
mod sign_in;
mod source_files;
mod source_form;
mod sources;
mod tokens;
mod verified;

use std::sync::Arc;

use axum::{
    Router,
    response::{IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use uuid::Uuid;

use crate::{assets, server::App};

pub(crate) const SIGN_IN: &str = "/sign-in";

pub(crate) fn all() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(overview::show))
        .route(SIGN_IN, get(sign_in::show).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/connections", get(connections::list))
        .route("/connections/new", get(connection_form::new).post(connection_form::create))
        .route("/connections/keys", get(keys::ask).post(keys::rotate))
        .route("/connections/{id}", get(connections::show))
        .route("/connections/{id}/edit", get(connection_form::edit).post(connection_form::update))
        .route("/connections/{id}/verify", post(connections::verify))
        .route("/connections/{id}/remove", get(connections::ask).post(connections::remove))
        .route("/sources", get(sources::list))
        .route("/sources/new", get(source_form::new).post(source_form::create))
        .route("/sources/folder", get(sources::show_folder))
        .route("/sources/{id}", get(sources::show))
        .route("/sources/{id}/edit", get(source_form::edit).post(source_form::update))
        .route("/sources/{id}/remove", get(sources::ask).post(sources::remove))
        .route("/exports", get(exports::list))
        .route("/exports/new", get(export_form::new).post(export_form::create))
        .route("/exports/{id}", get(exports::show))
        .route("/exports/{id}/edit", get(export_form::edit).post(export_form::update))
        .route("/exports/{id}/preview", get(preview::show))
        .route("/exports/{id}/columns", post(preview::settle))
        .route("/exports/{id}/run", post(export_actions::run))
        .route("/exports/{id}/set", post(export_actions::set))
        .route("/exports/{id}/duplicate", post(export_actions::duplicate))
        .route("/exports/run-all", post(export_actions::run_all))
        .route("/exports/{id}/remove", get(export_actions::ask).post(export_actions::remove))
        .route("/runs", get(runs::list))
        .route("/runs/{id}", get(runs::show))
        .route("/runs/{id}/live", get(runs::live))
        .route("/runs/{id}/cancel", get(runs::ask).post(runs::cancel))
        .route("/runs/{id}/retry", post(runs::retry))
        .route("/runs/{id}/rejects", get(rejects::show))
        .route("/runs/{id}/rejects.csv", get(rejects::download))
        .route("/schedule", get(schedule::show).post(schedule::save))
        .route("/audit", get(audit::list))
        .route("/audit/verify", post(audit::verify))
        .route("/jobs", get(jobs::list))
        .route("/jobs/{id}/requeue", post(jobs::requeue))
        .route("/jobs/{id}/drop", get(jobs::ask).post(jobs::remove))
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{id}/revoke", get(tokens::ask).post(tokens::revoke))
        .route("/assets/{name}", get(assets::serve))
}

/// To a page that can be loaded again without doing anything again.
fn go_to(address: &str) -> Response {
    Redirect::to(address).into_response()
}

/// By which the services know a form that was sent twice.
fn request_id() -> String {
    Uuid::now_v7().to_string()
}
