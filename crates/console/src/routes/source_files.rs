//! What lies in the folder of a source, as a part of its page.

use segue_proto::v1::{self, ColumnType};
use tonic::Status;

use crate::{
    caller::Caller,
    failure::{Failure, words_of},
    form::{Form, address},
    services::asking,
    shown::{Markup, bytes, grouped, when_given},
};

/// Where somebody looks. The form says by `folder` which one, and by `file` whose columns.
pub(super) struct Look<'a> {
    /// The id of a source; empty: the source folder itself.
    pub(super) source: &'a str,
    /// The address of the page.
    pub(super) here: &'a str,
    pub(super) form: &'a Form,
}

pub(super) struct Looked {
    /// The folders down to the one that is shown.
    pub(super) way: Vec<Step>,
    pub(super) entries: Vec<Entry>,
    pub(super) truncated: bool,
    /// Why there is nothing to see, in words; empty: there is.
    pub(super) problem: String,
    pub(super) file: Option<File>,
}

/// A folder, and where it is shown.
pub(super) struct Step {
    pub(super) name: String,
    pub(super) address: String,
}

pub(super) struct Entry {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) is_folder: bool,
    pub(super) size: String,
    pub(super) rows: String,
    pub(super) modified: Option<Markup>,
}

/// One file, by its columns.
pub(super) struct File {
    pub(super) path: String,
    pub(super) columns: Vec<Column>,
    pub(super) sampled: String,
    /// Why it cannot be looked at, or not be exported as it is; empty: it can.
    pub(super) problem: String,
}

pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) filled: String,
    pub(super) longest: String,
    pub(super) becomes: String,
}

impl Look<'_> {
    /// `None`: that is not for the caller to see.
    pub(super) async fn look(&self, caller: &Caller) -> Result<Option<Looked>, Failure> {
        if !caller.may("SourceService/ListSegments") {
            return Ok(None);
        }
        let (folder, path) = (self.form.text("folder"), self.form.text("file"));
        let (listed, file) = tokio::join!(self.list(caller, folder), async {
            if path.is_empty() { Ok(None) } else { self.describe(caller, path).await.map(Some) }
        });
        let mut looked = Looked {
            way: self.way(folder),
            entries: Vec::new(),
            truncated: false,
            problem: String::new(),
            file: file?,
        };
        match in_words(listed)? {
            Ok(found) => {
                let entries = found.entries.into_iter();
                looked.entries = entries.map(|it| self.entry(folder, it)).collect();
                looked.truncated = found.truncated;
            }
            Err(words) => looked.problem = words,
        }
        Ok(Some(looked))
    }

    async fn list(
        &self,
        caller: &Caller,
        folder: &str,
    ) -> Result<v1::ListSegmentsResponse, Status> {
        let (folder, source_id) = (folder.to_owned(), self.source.to_owned());
        let request = v1::ListSegmentsRequest { folder, source_id };
        Ok(caller.services.sources().list_segments(asking(request)).await?.into_inner())
    }

    async fn describe(&self, caller: &Caller, path: &str) -> Result<File, Failure> {
        let (segments, source_id) = (vec![path.to_owned()], self.source.to_owned());
        let request = v1::DescribeSegmentRequest { segments, source_id };
        let described = caller.services.sources().describe_segment(asking(request)).await;
        let path = path.to_owned();
        Ok(match in_words(described)? {
            Ok(found) => described_file(path, found.into_inner()),
            Err(problem) => File { path, columns: Vec::new(), sampled: String::new(), problem },
        })
    }

    fn way(&self, folder: &str) -> Vec<Step> {
        let mut path = String::new();
        let mut step = |part: &str| {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(part);
            Step { name: part.to_owned(), address: address(self.here, &[("folder", &path)]) }
        };
        folder.split('/').filter(|part| !part.is_empty()).map(&mut step).collect()
    }

    fn entry(&self, folder: &str, entry: v1::SourceEntry) -> Entry {
        let v1::SourceEntry { path, is_folder, size_bytes, modified_at, rows } = entry;
        let query = if is_folder {
            vec![("folder", &*path)]
        } else {
            vec![("folder", folder), ("file", &path)]
        };
        Entry {
            name: path.rsplit('/').next().unwrap_or_default().to_owned(),
            address: address(self.here, &query),
            is_folder,
            size: if is_folder { String::new() } else { bytes(size_bytes) },
            rows: rows.map(grouped).unwrap_or_default(),
            modified: when_given(modified_at),
        }
    }
}

/// What a worker says against what somebody has asked belongs on the page, as does that none answers.
fn in_words<T>(said: Result<T, Status>) -> Result<Result<T, String>, Failure> {
    use tonic::Code::{DeadlineExceeded, InvalidArgument, Unavailable};
    match said {
        Ok(found) => Ok(Ok(found)),
        Err(status)
            if [DeadlineExceeded, InvalidArgument, Unavailable].contains(&status.code()) =>
        {
            Ok(Err(words_of(&status)))
        }
        Err(status) => Err(status.into()),
    }
}

fn described_file(path: String, found: v1::DescribeSegmentResponse) -> File {
    let v1::DescribeSegmentResponse { files: _, columns, sampled_rows, problem } = found;
    let column = |it: v1::SourceColumn| Column {
        kind: kind_words(it.r#type()),
        // Rounded down, so that 100 means all.
        filled: it
            .filled_rows
            .saturating_mul(100)
            .checked_div(sampled_rows)
            .map(|percent| format!("{percent} %"))
            .unwrap_or_default(),
        longest: grouped(it.longest_chars),
        becomes: it.attribute,
        name: it.name,
    };
    let columns = columns.into_iter().map(column).collect();
    File { path, columns, sampled: grouped(sampled_rows), problem }
}

fn kind_words(kind: ColumnType) -> &'static str {
    match kind {
        // Of a later version than this.
        ColumnType::Unspecified => "–",
        ColumnType::Text => "Text",
        ColumnType::Number => "Number",
        ColumnType::Boolean => "Yes or no",
        ColumnType::Date => "Date",
        ColumnType::List => "List",
    }
}

#[cfg(test)]
mod tests {
    use segue_proto::v1;

    use super::{Look, described_file, in_words};
    use crate::form::Form;

    fn look(form: &Form) -> Look<'_> {
        Look { source: "src_1", here: "/sources/src_1", form }
    }

    #[test]
    fn folders_lead_down_and_files_stay_in_their_folder() {
        let form = Form::default();
        let way: Vec<_> = look(&form).way("crm/a b").into_iter().map(|it| it.address).collect();
        assert_eq!(way, ["/sources/src_1?folder=crm", "/sources/src_1?folder=crm%2Fa+b"]);
        let entry = |path: &str, is_folder| {
            let path = path.to_owned();
            look(&form).entry("crm", v1::SourceEntry { path, is_folder, ..Default::default() })
        };
        let folder = entry("crm/old", true);
        assert_eq!((&*folder.name, &*folder.address), ("old", "/sources/src_1?folder=crm%2Fold"));
        let file = entry("crm/a.csv", false);
        assert_eq!(file.address, "/sources/src_1?folder=crm&file=crm%2Fa.csv");
    }

    #[test]
    fn what_a_worker_says_is_on_the_page_and_the_rest_fails() {
        let said = tonic::Status::invalid_argument("nowhere: there is no such file");
        let words = in_words::<()>(Err(said)).unwrap().unwrap_err();
        assert!(words.contains("there is no such file"), "{words}");
        assert!(in_words::<()>(Err(tonic::Status::internal("x"))).is_err());
    }

    #[test]
    fn share_of_filled_cells_is_rounded_down() {
        let column = v1::SourceColumn { filled_rows: 2, ..Default::default() };
        let found = v1::DescribeSegmentResponse {
            columns: vec![column],
            sampled_rows: 3,
            ..Default::default()
        };
        assert_eq!(described_file("a.csv".to_owned(), found).columns[0].filled, "66 %");
    }
}
