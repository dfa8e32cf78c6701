//! A plan for people, like a diff, and for programs.

use serde::Serialize;
use serde_json::Value;

use super::plan::{Action, Change, Difference, Kind};
use crate::ui;

/// A line for each thing, and below it a line for each of its fields that matter.
pub(super) fn lines(changes: &[Change]) -> Vec<String> {
    let mut lines = Vec::new();
    for change in changes {
        lines.push(headline(change));
        let width = change.fields.iter().map(|it| it.field.len()).max().unwrap_or(0);
        lines.extend(change.fields.iter().map(|it| field(it, width)));
    }
    lines.push(Summary::of(changes).line());
    lines
}

/// One thing, with the sign of what becomes of it.
pub(super) fn headline(change: &Change) -> String {
    let sign = match change.action {
        Action::Create => '+',
        Action::Update => '~',
        Action::Remove => '-',
        Action::Keep => '=',
        Action::NotInFile => '?',
    };
    let kind = match change.kind {
        Kind::SystemSchedule => "schedule of the system",
        Kind::Connection => "connection",
        Kind::Source => "source",
        Kind::Export => "export",
    };
    let mut line = format!("{sign} {kind}");
    if !change.name.is_empty() {
        line = format!("{line} {}", ui::plain(&change.name));
    }
    if let Some(id) = &change.id {
        line = format!("{line} ({id})");
    }
    if change.action == Action::NotInFile {
        line.push_str(", not in this file");
    }
    line
}

fn field(difference: &Difference, width: usize) -> String {
    let Difference { field, server, file, path: _ } = difference;
    let file = words(file);
    match server {
        Value::Null => format!("    {field:width$}  {file}"),
        server => format!("    {field:width$}  server has {}, file has {file}", words(server)),
    }
}

/// A value as a file could have it, on one line and without what a terminal would obey.
fn words(value: &Value) -> String {
    let flow = match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(words).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                format!("{}: {}", words(&name.as_str().into()), words(value))
            };
            let members: Vec<String> = members.iter().map(member).collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    };
    ui::plain(&flow)
}

/// Whether text needs no quotes where it stands in a list.
fn is_plain(text: &str) -> bool {
    let fine = |c: char| c.is_alphanumeric() || " _./-*@".contains(c);
    !text.is_empty() && text.chars().all(fine) && text.trim() == text
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Summary {
    create: usize,
    update: usize,
    remove: usize,
    keep: usize,
    not_in_file: usize,
}

impl Summary {
    pub(super) fn of(changes: &[Change]) -> Self {
        let mut summary = Self::default();
        for change in changes {
            *match change.action {
                Action::Create => &mut summary.create,
                Action::Update => &mut summary.update,
                Action::Remove => &mut summary.remove,
                Action::Keep => &mut summary.keep,
                Action::NotInFile => &mut summary.not_in_file,
            } += 1;
        }
        summary
    }

    fn line(self) -> String {
        let Self { create, update, remove, keep, not_in_file } = self;
        format!(
            "{create} to make, {update} to change, {remove} to remove; {keep} as the file says, \
             {not_in_file} not in it"
        )
    }
}

/// As JSON.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    /// Whether the server has it now; a plan says no.
    pub(super) applied: bool,
    pub(super) summary: Summary,
    pub(super) changes: &'a [Change],
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Change, Difference, Kind, lines, words};
    use crate::client::apply::plan::Action;

    #[test]
    fn plan_reads_like_a_diff() {
        let field = |field, server, file| Difference { field, server, file, path: "" };
        let change = |kind, name: &str, id: Option<&str>, action, fields| Change {
            kind,
            name: name.to_owned(),
            id: id.map(str::to_owned),
            action,
            fields,
        };
        let changes = [
            change(
                Kind::SystemSchedule,
                "",
                None,
                Action::Update,
                vec![field(
                    "schedule",
                    json!("never"),
                    json!({"at": ["03:00"], "timeZone": "UTC"}),
                )],
            ),
            change(Kind::Connection, "Shop", Some("con_1"), Action::Keep, vec![]),
            change(
                Kind::Export,
                "News",
                None,
                Action::Create,
                vec![field("list", json!(null), json!("Y6nRLr"))],
            ),
            change(Kind::Export, "Old\u{1b}[2J", Some("exp_2"), Action::NotInFile, vec![]),
            change(Kind::Export, "Older", Some("exp_3"), Action::Remove, vec![]),
        ];
        assert_eq!(
            lines(&changes),
            [
                "~ schedule of the system",
                r#"    schedule  server has never, file has {at: ["03:00"], timeZone: UTC}"#,
                "= connection Shop (con_1)",
                "+ export News",
                "    list  Y6nRLr",
                "? export Old [2J (exp_2), not in this file",
                "- export Older (exp_3)",
                "1 to make, 1 to change, 1 to remove; 1 as the file says, 1 not in it",
            ]
        );
    }

    #[test]
    fn values_are_shown_as_a_file_has_them() {
        for (value, shown) in [
            (json!("people/2026-*.csv"), "people/2026-*.csv"),
            (json!(""), r#""""#),
            (json!("a, b"), r#""a, b""#),
            (json!(["a", "b c"]), "[a, b c]"),
            (json!({"location.city": "town"}), "{location.city: town}"),
            (json!({"properties.tier:text": "t"}), r#"{"properties.tier:text": t}"#),
            (json!(50_000), "50000"),
            (json!(true), "true"),
        ] {
            assert_eq!(words(&value), shown);
        }
    }
}
