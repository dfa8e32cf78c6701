//! What a list starts for whoever joins it, told before an export to it is saved: no run of it would send anything.

use std::{fmt, time::Duration};

use segue_proto::v1;

use super::{Servers, explain, output};
use crate::ui;

/// Whoever saves an export does not wait long for what is only a warning.
const PATIENCE: Duration = Duration::from_secs(20);
/// What of an export decides whether its runs end at a live flow.
const PATHS: [&str; 3] = ["connection_id", "list_id", "guards.allow_live_flows"];

/// What there is to be said of a list, to whoever does not allow live flows.
#[derive(Debug)]
pub(super) enum Finding {
    /// Their names.
    Live(String),
    /// Why nobody can tell.
    Unknown(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live(names) => write!(
                f,
                "people who join the list start {names}, so every run of this export would fail: turn that off in \
                 Klaviyo"
            ),
            Self::Unknown(why) => {
                write!(f, "whether people who join the list start a flow is not known: {why}")
            }
        }
    }
}

/// `None`: the list starts nothing.
pub(super) async fn look(servers: &Servers, connection: &str, list: &str) -> Option<Finding> {
    let message =
        v1::GetListRequest { connection_id: connection.to_owned(), list_id: list.to_owned() };
    let mut request = tonic::Request::new(message);
    request.set_timeout(PATIENCE);
    let found = servers.lists().get_list(request).await;
    finding(found.map(tonic::Response::into_inner).map_err(explain))
}

fn finding(found: anyhow::Result<v1::GetListResponse>) -> Option<Finding> {
    match found {
        Err(err) => Some(Finding::Unknown(ui::plain(&err.to_string()))),
        Ok(found) if !found.flows_known => Some(Finding::Unknown(
            "the key of the connection may not read flows (flows:read)".to_owned(),
        )),
        Ok(found) if found.live_flows.is_empty() => None,
        Ok(found) => Some(Finding::Live(ui::plain(&output::names_of(&found.live_flows)))),
    }
}

/// Whether to save an export that allows no live flows. Says what its list starts, and asks whoever sits there.
/// `allow` is how they are allowed, `yes` that nobody is asked.
pub(super) async fn may_save(
    servers: &Servers,
    (connection, list): (&str, &str),
    allow: &str,
    yes: bool,
) -> anyhow::Result<bool> {
    match look(servers, connection, list).await {
        None => Ok(true),
        Some(unknown @ Finding::Unknown(_)) => {
            ui::note(unknown);
            Ok(true)
        }
        Some(live @ Finding::Live(_)) => {
            ui::note(format_args!(
                "{live}, or allow it with {allow} if they should get its messages"
            ));
            Ok(yes || !ui::is_terminal() || ui::ask("save the export all the same?")?)
        }
    }
}

/// As [`may_save`], for an export that is there and of which `paths` change.
pub(super) async fn may_update(
    servers: &Servers,
    changed: &v1::Export,
    paths: &[String],
    yes: bool,
) -> anyhow::Result<bool> {
    if !paths.iter().any(|path| matters(path)) {
        return Ok(true);
    }
    let request = super::asking(v1::GetExportRequest { id: changed.id.clone() });
    let reply = servers.exports().get_export(request).await.map_err(explain)?;
    let before = super::present(reply.into_inner().export, "export")?;
    let (connection, list, allowed) = after(&before, changed, paths);
    if allowed {
        return Ok(true);
    }
    may_save(servers, (connection, list), "--allow-live-flows true", yes).await
}

/// Connection, list and whether live flows are allowed once `paths` are those of `changed`.
fn after<'a>(
    before: &'a v1::Export,
    changed: &'a v1::Export,
    paths: &[String],
) -> (&'a str, &'a str, bool) {
    let of = |path: &str| if paths.iter().any(|it| it == path) { changed } else { before };
    let [connection, list, allow] = PATHS;
    let allowed = of(allow).guards.unwrap_or_default().allow_live_flows;
    (&of(connection).connection_id, &of(list).list_id, allowed)
}

/// Whether a change of the field can make a run end at a live flow.
pub(super) fn matters(path: &str) -> bool {
    PATHS.contains(&path)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use segue_proto::v1;

    use super::{after, finding};

    #[test]
    fn live_flows_are_named_and_what_nobody_can_tell_is_not_taken_for_none() {
        let flow = v1::Flow { id: "F1".to_owned(), name: "Welcome\u{1b}".to_owned() };
        let told = |flows_known, live_flows| {
            let found = finding(Ok(v1::GetListResponse { list: None, flows_known, live_flows }));
            found.map(|found| found.to_string())
        };
        assert_eq!(told(true, vec![]), None);
        let live = told(true, vec![flow]).unwrap();
        assert!(live.contains("Welcome") && live.contains("F1") && !live.contains('\u{1b}'));
        assert!(told(false, vec![]).unwrap().contains("flows:read"));
        let failed = finding(Err(anyhow!("no answer"))).unwrap().to_string();
        assert!(failed.contains("not known: no answer"), "{failed}");
    }

    #[test]
    fn what_is_not_changed_is_what_it_was() {
        let export = |connection: &str, list: &str, allow_live_flows| v1::Export {
            connection_id: connection.to_owned(),
            list_id: list.to_owned(),
            guards: Some(v1::Guards { allow_live_flows, ..v1::Guards::default() }),
            ..v1::Export::default()
        };
        let (before, changed) = (export("con_1", "A", true), export("con_2", "B", false));
        let of = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
            after(&before, &changed, &paths)
        };
        assert_eq!(of(&["list_id"]), ("con_1", "B", true));
        assert_eq!(of(&["connection_id"]), ("con_2", "A", true));
        assert_eq!(of(&["guards.allow_live_flows"]), ("con_1", "A", false));
    }
}
