use segue_service::{Context, config::Config, grpc::Server};
use segue_staging::Staging;
use segue_status::{Status, status_service};
use segue_store::Store;

use super::{
    gate::People,
    parts::{self, Duties},
};

pub(super) async fn body(config: &Config, context: Context) -> anyhow::Result<()> {
    let Context { drain, checks, started } = context;
    let store = Store::connect_read_only(config.database_url.required()?.expose()).await?;
    parts::check_database(&checks, store.clone());
    let staging = Staging::open_shared(config.staging_dir.required()?.clone())?;
    let gate = People::new(config, store.clone(), None)?;
    let status = Status::new(store, staging, drain.soft.clone());
    let server = Server::bind(config.status_listen)
        .await?
        .tls(parts::identity(&config.tls_cert_file, &config.tls_key_file)?)
        .gate(gate)
        .reflect(segue_proto::DESCRIPTORS)?
        .add(status_service(status.clone()));

    let mut duties = Duties::new(&drain);
    tracing::info!(status = %server.local_addr()?, "serving");
    duties.add(server.serve(drain.clone()));
    let queue = match config.amqp_url.get() {
        Some(_) => Some(parts::rabbit(config, "segue-status").await?),
        None => None,
    };
    if let Some(events) = queue.clone() {
        let stop = drain.soft.clone();
        duties.add(async move {
            stop.run_until_cancelled(status.follow(&events)).await.unwrap_or(Ok(()))
        });
    }
    started.set();
    let ended = duties.done().await;
    if let Some(queue) = queue {
        queue.close().await;
    }
    ended
}
