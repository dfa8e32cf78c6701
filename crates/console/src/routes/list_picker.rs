//! The lists of a connection, to choose one for an export.

use segue_proto::v1;
use tonic::{Code, Status};

use super::{problems::Problems, request_id};
use crate::{
    caller::Caller,
    failure::{Failure, words_of},
    form::Form,
    services::{asking, present},
    shown::{Markup, when_given},
};

/// Nobody reads through more, and each page of them is a request to Klaviyo.
const MOST_SHOWN: usize = 200;
/// The most that the service gives at a time.
const PAGE: i32 = 200;

/// What of the form is about the list, as it is shown beside the id of the list.
#[derive(Default)]
pub(super) struct ListPart {
    /// By which a request for a new list is known when it comes twice.
    pub(super) request_id: String,
    pub(super) picker: Option<Picker>,
    pub(super) chosen: Option<Chosen>,
}

/// Lists to choose from.
pub(super) struct Picker {
    pub(super) filter: String,
    pub(super) lists: Vec<Choice>,
    /// There are more than are shown.
    pub(super) cut: bool,
    /// Why there are none to be shown.
    pub(super) problem: String,
    pub(super) may_create: bool,
    pub(super) new_name: String,
}

pub(super) struct Choice {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) created: Option<Markup>,
    pub(super) is_chosen: bool,
}

/// The list that was chosen just now.
pub(super) struct Chosen {
    pub(super) name: String,
    pub(super) flows_known: bool,
    /// Names of the flows that start for people who join it.
    pub(super) live_flows: Vec<String>,
}

/// What the button that was pressed wants of the lists.
pub(super) struct Asked {
    pub(super) part: ListPart,
    /// Instead of what stands in the form.
    pub(super) list_id: Option<String>,
    pub(super) problems: Problems,
}

impl ListPart {
    pub(super) fn new() -> Self {
        Self { request_id: request_id(), ..Self::default() }
    }
}

/// Does what a button about lists says. `None`: it was another button.
pub(super) async fn pressed(caller: &Caller, form: &Form) -> Result<Option<Asked>, Failure> {
    let mut asked = Asked {
        part: ListPart {
            request_id: form.given("list_request_id").map_or_else(request_id, str::to_owned),
            ..ListPart::default()
        },
        list_id: None,
        problems: Problems::default(),
    };
    let connection = form.text("connection");
    match form.text("action") {
        "lists" if connection.is_empty() => {
            asked
                .problems
                .note("connection", "Choose a connection first: lists are those of its account.");
        }
        "lists" => asked.part.picker = Some(Picker::open(caller, form).await?),
        "use-list" if form.given("list_pick").is_none() => {
            asked.part.picker = Some(Picker::open(caller, form).await?);
            asked.problems.note("list_pick", "Choose one of the lists.");
        }
        "use-list" => asked.choose(caller, connection, form.text("list_pick")).await?,
        "new-list" => asked.make(caller, form).await?,
        _ => return Ok(None),
    }
    Ok(Some(asked))
}

impl Asked {
    /// Nothing of the lists; something may be wrong with the form.
    pub(super) fn nothing(problems: Problems) -> Self {
        Self { part: ListPart::new(), list_id: None, problems }
    }

    /// A list of the account becomes that of the export.
    async fn choose(&mut self, caller: &Caller, connection: &str, id: &str) -> Result<(), Failure> {
        match get(caller, connection, id).await {
            Ok(found) => {
                self.part.chosen = Some(Chosen::of(found)?);
                self.list_id = Some(id.to_owned());
            }
            Err(status) => self.problems = Problems::of(&status, &[("list_id", "list_id")])?,
        }
        Ok(())
    }

    async fn make(&mut self, caller: &Caller, form: &Form) -> Result<(), Failure> {
        let connection = form.text("connection");
        let request = v1::CreateListRequest {
            connection_id: connection.to_owned(),
            name: form.text("new_list").to_owned(),
            request_id: self.part.request_id.clone(),
        };
        match caller.services.lists().create_list(asking(request)).await {
            Ok(made) => {
                let made = present(made.into_inner().list)?;
                self.part.request_id = request_id();
                self.list_id = Some(made.id);
                // Nobody can have made a flow for a list that is a moment old.
                let (name, live_flows) = (made.name, Vec::new());
                self.part.chosen = Some(Chosen { name, flows_known: true, live_flows });
            }
            Err(status) => {
                self.problems = Problems::of(&status, &[("name", "new_list")])?;
                self.part.picker = Some(Picker::open(caller, form).await?);
            }
        }
        Ok(())
    }
}

impl Picker {
    /// The lists of the connection that the form names, from all pages of Klaviyo's.
    async fn open(caller: &Caller, form: &Form) -> Result<Self, Failure> {
        let mut picker = Self {
            filter: form.text("list_filter").to_owned(),
            lists: Vec::new(),
            cut: false,
            problem: String::new(),
            may_create: caller.may("ListService/CreateList"),
            new_name: form.text("new_list").to_owned(),
        };
        match picker.fill(caller, form).await {
            Ok(()) => {}
            // Whoever may not ask is told so on a page of its own; all else is about these lists only.
            Err(status) if status.code() == Code::Unauthenticated => return Err(status.into()),
            Err(status) => picker.problem = words_of(&status),
        }
        Ok(picker)
    }

    async fn fill(&mut self, caller: &Caller, form: &Form) -> Result<(), Status> {
        let mut page_token = String::new();
        loop {
            let request = v1::ListListsRequest {
                connection_id: form.text("connection").to_owned(),
                name_contains: self.filter.clone(),
                page_size: PAGE,
                page_token,
                name: String::new(),
            };
            let page = caller.services.lists().list_lists(asking(request)).await?.into_inner();
            self.lists.extend(page.lists.into_iter().map(|list| Choice {
                is_chosen: list.id == form.text("list_id"),
                created: when_given(list.created_at),
                name: list.name,
                id: list.id,
            }));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
            if self.lists.len() >= MOST_SHOWN {
                self.cut = true;
                break;
            }
        }
        self.lists.truncate(MOST_SHOWN);
        self.lists.sort_by_cached_key(|list| list.name.to_lowercase());
        Ok(())
    }
}

impl Chosen {
    fn of(found: v1::GetListResponse) -> Result<Self, Status> {
        Ok(Self {
            name: present(found.list)?.name,
            flows_known: found.flows_known,
            live_flows: found.live_flows.into_iter().map(|flow| flow.name).collect(),
        })
    }
}

async fn get(caller: &Caller, connection: &str, id: &str) -> Result<v1::GetListResponse, Status> {
    let request =
        v1::GetListRequest { connection_id: connection.to_owned(), list_id: id.to_owned() };
    Ok(caller.services.lists().get_list(asking(request)).await?.into_inner())
}

/// What speaks against saving an export to the list that the form names: that nobody has agreed to its live flows,
/// or that there is no such list. Whether Klaviyo can be asked is no reason not to save: a run asks again.
pub(super) async fn doubts(caller: &Caller, form: &Form) -> Problems {
    let mut problems = Problems::default();
    let (connection, list) = (form.text("connection"), form.text("list_id"));
    if connection.is_empty() || list.is_empty() {
        return problems;
    }
    match get(caller, connection, list).await {
        Ok(found) if !found.live_flows.is_empty() && !form.has("allow_live_flows") => {
            let names: Vec<String> =
                found.live_flows.iter().map(|flow| format!("“{}”", flow.name)).collect();
            let words = format!(
                "This list starts live flows for everybody who joins it: {}. Tick this if that is what you want, or \
                 choose another list.",
                names.join(", ")
            );
            problems.note("allow_live_flows", words);
        }
        Err(status) if status.code() == Code::NotFound => {
            problems.note("list_id", "The account of this connection has no such list.");
        }
        _ => {}
    }
    problems
}
