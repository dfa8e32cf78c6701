use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// What an answer carries.
pub(crate) enum SimBody {
    /// All of it at once; `None` when it was sent.
    Full(Option<Bytes>),
    /// The first half, and then the end of the connection.
    Truncated { half: Option<Bytes>, announced: u64, flushed: bool },
    /// Pieces that are made when they are wanted.
    Streamed(Box<dyn Iterator<Item = Bytes> + Send>),
}

impl SimBody {
    pub(crate) fn full(bytes: Bytes) -> Self {
        Self::Full((!bytes.is_empty()).then_some(bytes))
    }

    pub(crate) fn truncated(bytes: &Bytes) -> Self {
        let announced = bytes.len().max(2) as u64;
        let half = Some(bytes.slice(..bytes.len() / 2)).filter(|half| !half.is_empty());
        Self::Truncated { half, announced, flushed: false }
    }
}

impl Body for SimBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(match &mut *self {
            Self::Full(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Self::Truncated { half: half @ Some(_), .. } => {
                half.take().map(|half| Ok(Frame::data(half)))
            }
            Self::Truncated { flushed: flushed @ false, .. } => {
                // A body that has to wait makes hyper flush what it has; an error would not.
                *flushed = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Self::Truncated { .. } => Some(Err(io::ErrorKind::ConnectionAborted.into())),
            Self::Streamed(pieces) => pieces.next().map(|piece| Ok(Frame::data(piece))),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Truncated { announced, .. } => SizeHint::with_exact(*announced),
            Self::Streamed(_) => SizeHint::default(),
        }
    }
}
