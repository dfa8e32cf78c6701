use segue_proto::v1;
use serde::Serialize;

use super::{Shown, time};
use crate::client::present;

#[derive(Serialize)]
pub(in crate::client) struct List {
    id: String,
    name: String,
    opt_in_process: Option<&'static str>,
    created_at: Option<String>,
}

impl From<v1::List> for List {
    fn from(list: v1::List) -> Self {
        let opt_in_process = match list.opt_in_process() {
            v1::OptInProcess::Unspecified => None,
            v1::OptInProcess::Single => Some("single"),
            v1::OptInProcess::Double => Some("double"),
        };
        let created_at = time(list.created_at);
        Self { id: list.id, name: list.name, opt_in_process, created_at }
    }
}

impl Shown for List {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "OPT-IN", "CREATED"];

    fn cells(&self) -> Vec<String> {
        let opt_in = self.opt_in_process.unwrap_or("-").to_owned();
        let created = self.created_at.clone().unwrap_or_else(|| "-".to_owned());
        vec![self.id.clone(), self.name.clone(), opt_in, created]
    }
}

/// A list, and the live flows that wait for whoever joins it.
#[derive(Serialize)]
pub(in crate::client) struct ListWithFlows {
    #[serde(flatten)]
    list: List,
    /// Null: the key may not read flows.
    live_flows: Option<Vec<Flow>>,
}

#[derive(Serialize)]
struct Flow {
    id: String,
    name: String,
}

impl TryFrom<v1::GetListResponse> for ListWithFlows {
    type Error = anyhow::Error;

    fn try_from(found: v1::GetListResponse) -> anyhow::Result<Self> {
        let flow = |v1::Flow { id, name }| Flow { id, name };
        let live_flows = found.live_flows.into_iter().map(flow).collect();
        Ok(Self {
            list: present(found.list, "list")?.into(),
            live_flows: found.flows_known.then_some(live_flows),
        })
    }
}

impl Shown for ListWithFlows {
    const COLUMNS: &'static [&'static str] = &["ID", "NAME", "OPT-IN", "CREATED", "LIVE FLOWS"];

    fn cells(&self) -> Vec<String> {
        let mut cells = self.list.cells();
        cells.push(match &self.live_flows {
            None => "unknown: the key may not read flows (flows:read)".to_owned(),
            Some(flows) if flows.is_empty() => "none".to_owned(),
            Some(flows) => listed(flows.iter().map(|flow| (&flow.id, &flow.name))),
        });
        cells
    }
}

/// Name and id of each.
pub(in crate::client) fn names_of(flows: &[v1::Flow]) -> String {
    listed(flows.iter().map(|flow| (&flow.id, &flow.name)))
}

fn listed<'a>(flows: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    flows.map(|(id, name)| format!("{name:?} ({id})")).collect::<Vec<_>>().join(", ")
}
