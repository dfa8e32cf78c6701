//! Looks: what somebody waits for and a worker finds out.

use segue_model::{LookId, Micros};

use crate::{
    StoreError, Tx,
    sql::{Row, args, text},
};

/// A question, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub id: LookId,
    /// JSON, without personal data.
    pub asked: String,
    /// Nobody waits any longer.
    pub until: Micros,
}

/// How it stands with a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Asked,
    /// Sealed with the master key of this name.
    Found {
        sealed: String,
        master_key: String,
    },
    /// Words.
    Failed(String),
}

pub async fn create(tx: &mut Tx, look: &Look) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO looks (look_id, asked, state, answer, master_key, asked_us, \
         until_us) VALUES ($1, $2, 'asked', '', '', $3, $4)";
    let now = tx.now();
    tx.execute(SQL, args![text(look.id), look.asked.as_str(), now, look.until]).await?;
    Ok(())
}

/// Looks that somebody waits for.
pub async fn waiting(tx: &mut Tx) -> Result<u64, StoreError> {
    const SQL: &str = "SELECT CAST(count(*) AS BIGINT) FROM looks WHERE until_us > $1";
    let now = tx.now();
    tx.row(SQL, args![now]).await?.map_or(Ok(0), |mut row| row.count())
}

/// A look that has no answer and for which somebody waits, its row locked.
pub async fn open(tx: &mut Tx, id: LookId) -> Result<Option<Look>, StoreError> {
    const SQL: &str = "UPDATE looks SET state = state WHERE look_id = $1 AND state = 'asked' \
         AND until_us > $2 RETURNING look_id, asked, until_us";
    let now = tx.now();
    let decode =
        |mut row: Row| Ok(Look { id: row.parsed()?, asked: row.string()?, until: row.time()? });
    tx.row(SQL, args![text(id), now]).await?.map(decode).transpose()
}

/// Nothing happens if it has an answer, or nobody waits for it.
pub async fn answer(tx: &mut Tx, id: LookId, standing: &Standing) -> Result<(), StoreError> {
    const SQL: &str = "UPDATE looks SET state = $2, answer = $3, master_key = $4 \
         WHERE look_id = $1 AND state = 'asked'";
    let (state, answer, master_key) = match standing {
        Standing::Asked => return Ok(()),
        Standing::Found { sealed, master_key } => ("found", sealed.as_str(), master_key.as_str()),
        Standing::Failed(words) => ("failed", words.as_str(), ""),
    };
    tx.execute(SQL, args![text(id), state, answer, master_key]).await?;
    Ok(())
}

/// `None`: there is no such look, any more.
pub async fn standing(tx: &mut Tx, id: LookId) -> Result<Option<Standing>, StoreError> {
    const SQL: &str = "SELECT state, answer, master_key FROM looks WHERE look_id = $1";
    tx.row(SQL, args![text(id)]).await?.map(decode).transpose()
}

fn decode(mut row: Row) -> Result<Standing, StoreError> {
    let (state, answer, master_key) = (row.string()?, row.string()?, row.string()?);
    match state.as_str() {
        "asked" => Ok(Standing::Asked),
        "found" => Ok(Standing::Found { sealed: answer, master_key }),
        "failed" => Ok(Standing::Failed(answer)),
        _ => Err(StoreError::inconsistent(format!("the state {state:?} of a look"))),
    }
}

/// With its answer. Its job is forgotten apart.
pub async fn forget(tx: &mut Tx, id: LookId) -> Result<(), StoreError> {
    const SQL: &str = "DELETE FROM looks WHERE look_id = $1";
    tx.execute(SQL, args![text(id)]).await?;
    Ok(())
}

/// Looks for which nobody waits any more.
pub async fn over(tx: &mut Tx) -> Result<Vec<LookId>, StoreError> {
    const SQL: &str = "SELECT look_id FROM looks WHERE until_us <= $1 ORDER BY until_us LIMIT 1000";
    let now = tx.now();
    tx.rows(SQL, args![now]).await?.into_iter().map(|mut row| row.parsed()).collect()
}
