//! What a plan cannot know by itself: whether the lists of its exports start live flows.

use std::collections::BTreeMap;

use segue_proto::v1;

use super::{
    desired::Desired,
    field::Field,
    plan::{Action, Change, Kind},
    present::Present,
};
use crate::{
    client::{
        Servers,
        live_flows::{self, Finding},
    },
    ui,
};

/// A connection and one of its lists.
type Place<'a> = (&'a str, &'a str);

/// Says which exports would fail at a live flow. Each list is asked about once.
pub(super) async fn of_live_flows(
    servers: &Servers,
    desired: &Desired,
    present: &Present,
    changes: &[Change],
) {
    let mut by_place: BTreeMap<Place<'_>, Vec<&str>> = BTreeMap::new();
    for (name, place) in in_question(desired, present, changes) {
        by_place.entry(place).or_default().push(name);
    }
    for ((connection, list), names) in by_place {
        let Some(found) = live_flows::look(servers, connection, list).await else { continue };
        let remedy = match found {
            Finding::Live(_) => ", or write guards.allowLiveFlows: true",
            Finding::Unknown(_) => "",
        };
        for name in names {
            ui::note(format_args!("warning: export {}: {found}{remedy}", ui::plain(name)));
        }
    }
}

/// Exports that get another list or guard and allow no live flows. That of a connection which is still to be made
/// nobody can ask about.
fn in_question<'a>(
    desired: &'a Desired,
    present: &'a Present,
    changes: &'a [Change],
) -> Vec<(&'a str, Place<'a>)> {
    let may_fail = |it: &&Change| {
        it.kind == Kind::Export
            && matches!(it.action, Action::Create | Action::Update)
            && it.fields.iter().any(|field| live_flows::matters(field.path))
    };
    let place = |change: &'a Change| {
        let wanted = desired.exports.iter().flatten().find(|it| it.name == change.name)?;
        let connection =
            present.connections.iter().find(|it| it.display_name == wanted.connection)?;
        let before = present.exports.iter().find(|it| Some(&it.id) == change.id.as_ref());
        let allows = |export: &v1::Export| export.guards.unwrap_or_default().allow_live_flows;
        let allowed = match before {
            Some(before) if !wanted.said.contains(&Field::AllowLiveFlows) => allows(before),
            _ => allows(&wanted.fields),
        };
        let place = (connection.id.as_str(), wanted.fields.list_id.as_str());
        (!allowed).then_some((change.name.as_str(), place))
    };
    changes.iter().filter(may_fail).filter_map(place).collect()
}
