use std::process::ExitCode;

use segue_proto::v1;
use serde_json::json;

use super::{
    Servers,
    args_runs::{DeadJobs, Jobs, JobsArgs},
    asking, explain,
    output::{self, DeadJob},
};

pub(super) async fn run(args: JobsArgs) -> anyhow::Result<ExitCode> {
    let servers = Servers::new(&args.server)?;
    let Jobs::Dead { command } = args.command;
    match command {
        DeadJobs::List { run } => list(&servers, run.unwrap_or_default()).await?,
        DeadJobs::Requeue { dead_job: id } => {
            let request = v1::RequeueDeadJobRequest { id: id.clone() };
            let reply = servers.jobs().requeue_dead_job(asking(request)).await.map_err(explain)?;
            let attempt = reply.into_inner().attempt;
            let words = format_args!("the job of {id} is announced again, as attempt {attempt}");
            output::done(servers.output, &json!({ "id": id, "attempt": attempt }), words)?;
        }
        DeadJobs::Drop { dead_job: id } => {
            let request = v1::DropDeadJobRequest { id: id.clone() };
            servers.jobs().drop_dead_job(asking(request)).await.map_err(explain)?;
            let words = format_args!("{id} is dropped");
            output::done(servers.output, &json!({ "id": id, "dropped": true }), words)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(servers: &Servers, run_id: String) -> anyhow::Result<()> {
    let mut all: Vec<DeadJob> = Vec::new();
    let mut page_token = String::new();
    loop {
        let run_id = run_id.clone();
        let request = v1::ListDeadJobsRequest { run_id, page_size: 1000, page_token };
        let reply = servers.jobs().list_dead_jobs(asking(request)).await.map_err(explain)?;
        let page = reply.into_inner();
        all.extend(page.dead_jobs.into_iter().map(DeadJob::from));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    output::many(servers.output, &all)
}
