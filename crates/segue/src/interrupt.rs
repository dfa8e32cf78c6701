//! Ctrl-C and SIGTERM.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a command that was interrupted.
pub(crate) const EXIT_CODE: u8 = 130;

/// Cancels `soft` at the first signal and ends the process at the second.
pub(crate) fn watch(soft: CancellationToken) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        soft.cancel();
        either(&mut interrupt, &mut terminate).await;
        std::process::exit(EXIT_CODE.into());
    });
    Ok(())
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
