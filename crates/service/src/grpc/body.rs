//! The body of an answer, watched to its end.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status, body::Body};

use super::call::Call;

/// What is known of the call when it ends is recorded when this is dropped, with the call.
pub(crate) struct Watched {
    inner: Body,
    call: Call,
    /// Cancelled when streams have to end although they have more to say.
    cut: CancellationToken,
    waiting: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    ended: bool,
}

impl Watched {
    pub(crate) fn new(inner: Body, call: Call, cut: CancellationToken) -> Self {
        Self { inner, call, cut, waiting: None, ended: false }
    }

    fn poll_cut(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let cut = &self.cut;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(cut.clone().cancelled_owned()));
        waiting.as_mut().poll(context)
    }

    /// Trailers that end the stream: the client may ask another instance.
    fn farewell(&mut self) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.ended = true;
        self.call.ended(Code::Unavailable);
        let status = Status::unavailable("this instance is stopping: ask again");
        let (parts, _) = status.into_http::<Body>().into_parts();
        let mut trailers = parts.headers;
        trailers.remove(http::header::CONTENT_TYPE);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        // Before the next message, or a stream that always has one would never end.
        if this.poll_cut(context).is_ready() && !this.inner.is_end_stream() {
            return this.farewell();
        }
        let polled = Pin::new(&mut this.inner).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    let status = Status::from_header_map(trailers);
                    this.call.ended(status.map_or(Code::Unknown, |status| status.code()));
                }
            }
            Poll::Ready(Some(Err(status))) => this.call.ended(status.code()),
            Poll::Ready(None) => this.ended = true,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
