use segue_model::{ExportId, Id};
use uuid::Uuid;

use super::{LATE, SOON};
use crate::{Command, CommandReceipt as _, Commands, Receipt as _, ReceivedCommand};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// How a test sends what somebody else would send.
pub trait Sender {
    fn send(
        &self,
        topic: &str,
        content_type: Option<&str>,
        body: &[u8],
        trace: Option<&str>,
    ) -> impl Future<Output = ()> + Send;
}

impl Sender for crate::MemoryCommands {
    async fn send(&self, topic: &str, kind: Option<&str>, body: &[u8], trace: Option<&str>) {
        Self::send(self, topic, kind, body, trace).unwrap();
    }
}

fn export() -> ExportId {
    Id::from_uuid(Uuid::from_u128(7))
}

async fn send_start(commands: &impl Sender, request_id: &str) {
    let body = format!(
        r#"{{"schema":1,"start_run":{{"export_id":"{}","request_id":"{request_id}"}}}}"#,
        export()
    );
    commands.send("run.start", Some("application/json"), body.as_bytes(), Some(TRACE)).await;
}

async fn next<C: Commands>(commands: &C) -> (ReceivedCommand, C::Receipt) {
    let received = tokio::time::timeout(LATE, commands.receive_command()).await;
    received.expect("no command came").unwrap()
}

async fn nothing_comes(commands: &impl Commands) {
    assert!(tokio::time::timeout(SOON, commands.receive_command()).await.is_err());
}

pub async fn command_arrives_with_its_trace(commands: impl Commands + Sender) {
    send_start(&commands, "r-1").await;
    let (received, receipt) = next(&commands).await;
    let start = Command::Start { export: export(), request_id: "r-1".into() };
    assert_eq!(received.command, Ok(start));
    assert_eq!(received.trace.as_deref(), Some(TRACE));
    receipt.ack().await.unwrap();
}

pub async fn acknowledged_command_is_gone(commands: impl Commands + Sender) {
    send_start(&commands, "r-1").await;
    next(&commands).await.1.ack().await.unwrap();
    nothing_comes(&commands).await;
}

pub async fn dropped_command_is_delivered_again(commands: impl Commands + Sender) {
    send_start(&commands, "r-1").await;
    let (first, receipt) = next(&commands).await;
    drop(receipt);
    let (again, receipt) = next(&commands).await;
    assert_eq!(again, first);
    receipt.ack().await.unwrap();
    nothing_comes(&commands).await;
}

pub async fn rejected_command_is_put_aside(commands: impl Commands + Sender) {
    send_start(&commands, "r-1").await;
    send_start(&commands, "r-2").await;
    next(&commands).await.1.reject("because").await.unwrap();
    let (second, receipt) = next(&commands).await;
    assert_eq!(second.command.unwrap().request_id(), "r-2");
    receipt.ack().await.unwrap();
    nothing_comes(&commands).await;
}

pub async fn message_that_is_no_command_is_received_as_such(commands: impl Commands + Sender) {
    let body = br#"{"schema":1,"start_run":{"export_id":"nonsense","request_id":"r-1"}}"#;
    commands.send("run.start", Some("application/json"), body, None).await;
    let (received, receipt) = next(&commands).await;
    let malformed = received.command.unwrap_err();
    assert_eq!(malformed.request_id.as_deref(), Some("r-1"));
    assert!(malformed.words.contains("export_id"));
    receipt.reject(&malformed.words).await.unwrap();
    nothing_comes(&commands).await;
}
