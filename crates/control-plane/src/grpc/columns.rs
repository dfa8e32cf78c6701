use segue_profile::Mapping;
use segue_proto::{timestamp, v1};

use crate::Columns;

/// What becomes of the columns of an export.
pub(super) fn columns_message(columns: Columns) -> v1::Columns {
    let Columns { mapping, problem, new_columns, settled } = columns;
    v1::Columns {
        sent: mapping.as_ref().map(sent).unwrap_or_default(),
        not_sent: mapping.as_ref().map(|it| it.unsent().to_vec()).unwrap_or_default(),
        new_columns,
        settled_at: Some(timestamp(settled)),
        problem,
    }
}

pub(super) fn sent(mapping: &Mapping) -> Vec<v1::Column> {
    let column = |[attribute, name, r#type]: [String; 3]| v1::Column { name, attribute, r#type };
    mapping.describe().map(column).collect()
}
