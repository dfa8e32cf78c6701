use std::process::ExitCode;

use anyhow::bail;
use segue_proto::v1;

use super::{
    Servers,
    args_admin::{Audit, AuditArgs, Keys, KeysArgs},
    asking, explain,
    output::{self, AuditEntry, AuditState, Rotated},
};
use crate::ui;

pub(super) async fn run(args: AuditArgs) -> anyhow::Result<ExitCode> {
    let servers = Servers::new(&args.server)?;
    match args.command {
        Audit::List { object, limit } => list(&servers, object.unwrap_or_default(), limit).await?,
        Audit::Verify => {
            let request = v1::VerifyAuditRequest {};
            let reply = servers.audit().verify_audit(asking(request)).await.map_err(explain)?;
            let reply = reply.into_inner();
            let (broken, problem) = (reply.broken_seq, reply.problem.clone());
            output::one(servers.output, &AuditState::from(reply))?;
            if broken > 0 {
                bail!("the audit record is not as it was written: entry {broken}: {problem}");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(servers: &Servers, object_id: String, limit: usize) -> anyhow::Result<()> {
    let mut all: Vec<AuditEntry> = Vec::new();
    let mut page_token = String::new();
    while all.len() < limit {
        let request = v1::ListAuditEntriesRequest {
            page_size: i32::try_from((limit - all.len()).min(1000))?,
            page_token,
            object_id: object_id.clone(),
        };
        let reply = servers.audit().list_audit_entries(asking(request)).await.map_err(explain)?;
        let page = reply.into_inner();
        all.extend(page.entries.into_iter().map(AuditEntry::from));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    output::many(servers.output, &all)
}

pub(super) async fn keys(args: KeysArgs) -> anyhow::Result<ExitCode> {
    let servers = Servers::new(&args.server)?;
    let Keys::Rotate = args.command;
    let request = v1::RotateKeysRequest {};
    let reply = servers.connections().rotate_keys(asking(request)).await.map_err(explain)?;
    let reply = reply.into_inner();
    let unreadable = reply.unreadable_connection_ids.join(", ");
    output::one(servers.output, &Rotated::from(reply))?;
    if !unreadable.is_empty() {
        bail!(
            "no master key opens the keys of {unreadable}: start the control-plane with old_master_key_file, or \
             give these connections their keys once more: segue connections update CONNECTION --new-key"
        );
    }
    ui::note(
        "all keys that are kept here are sealed by the present master key; the old one is needed no more",
    );
    Ok(ExitCode::SUCCESS)
}
