use segue_profile::Mapping;
use segue_proto::{timestamp, v1};

use crate::Columns;

/// What becomes of the columns of an export.
pub(super) fn columns_message(columns: Columns) -> v1::Columns {
    let Columns { mapping, problem, new_columns, settled } = columns;
    let sent = mapping.iter().flat_map(Mapping::describe);
    v1::Columns {
        sent: sent
            .map(|[attribute, name, r#type]| v1::Column { name, attribute, r#type })
            .collect(),
        not_sent: mapping.as_ref().map(|it| it.unsent().to_vec()).unwrap_or_default(),
        new_columns,
        settled_at: Some(timestamp(settled)),
        problem,
    }
}
