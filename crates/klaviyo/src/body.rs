use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The body goes out in pieces of this size, and the guard is asked before each.
pub const PIECE_BYTES: usize = 64 * 1024;

/// Whether a request may go on. It is asked before the first byte of the body and between pieces of
/// [`PIECE_BYTES`]: a worker that lost its lease while it was asleep must not finish a request.
///
/// The answer is wanted at once, on the thread that drives the connection: look at an atomic or a
/// monotonic clock, do not wait. A closure will do.
pub trait SendGuard: Send {
    fn check(&mut self) -> Result<(), GuardStop>;
}

impl<F: FnMut() -> Result<(), GuardStop> + Send> SendGuard for F {
    fn check(&mut self) -> Result<(), GuardStop> {
        self()
    }
}

/// Why a guard ended a request, in the guard's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct GuardStop {
    pub reason: &'static str,
}

/// The guard of a request that nothing else may stop.
#[derive(Debug, Clone, Copy)]
pub struct Unguarded;

impl SendGuard for Unguarded {
    fn check(&mut self) -> Result<(), GuardStop> {
        Ok(())
    }
}

/// A body whose next piece is given only when the guard agrees and the piece before it has left
/// for the kernel.
///
/// The second half is what makes the guard worth asking. The connection buffers some 400 KB, so a
/// body that gave pieces as fast as they are asked for would be agreed to long before it is sent,
/// and a process that woke from a pause would finish it unasked. As it is, at most one agreed piece
/// is waiting in this process. Over TLS a piece counts as gone when it is encrypted, into a buffer
/// of about the same size.
pub(crate) struct GuardedBody<G> {
    rest: Bytes,
    /// Never locked: it is here because a body must be `Sync`, which a guard need not be.
    guard: Mutex<G>,
    flight: Flight,
}

/// What a body and the call that sends it know of each other.
#[derive(Clone, Default)]
struct Flight(Arc<Mutex<FlightState>>);

#[derive(Default)]
struct FlightState {
    progress: Progress,
    /// The call is over: no further piece.
    closed: bool,
    /// A piece is on its way to the kernel.
    in_flight: bool,
    /// Who waits for it to be gone.
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Progress {
    /// Some of the body was never given to the connection. The request has a `Content-Length`, so
    /// nobody can have taken it for complete.
    #[default]
    Incomplete,
    Whole,
    Stopped(GuardStop),
}

impl Flight {
    fn state(&self) -> MutexGuard<'_, FlightState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The call's end of a body. The connection is another task, so a body could go on after its call
/// has given up, or was dropped, and arrive whole after all: with this, it ends too.
pub(crate) struct Watch(Flight);

impl Watch {
    /// How far the body got, for good.
    pub(crate) fn close(&self) -> Progress {
        let mut state = self.0.state();
        state.closed = true;
        let (progress, waker) = (state.progress, state.waker.take());
        drop(state); // the woken task may look at the state at once
        if let Some(waker) = waker {
            waker.wake();
        }
        progress
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.close();
    }
}

/// Only the connection sees it; the call has its own words for why it ended.
const CALL_ENDED: GuardStop = GuardStop { reason: "the call has ended" };

/// Part of the body. The connection drops it when all of it is written.
struct Piece {
    bytes: Bytes,
    flight: Flight,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut state = self.flight.state();
        state.in_flight = false;
        let waker = state.waker.take();
        drop(state); // as above
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<G> GuardedBody<G> {
    pub(crate) fn new(bytes: Bytes, guard: G) -> (Self, Watch) {
        let flight = Flight::default();
        if bytes.is_empty() {
            flight.state().progress = Progress::Whole;
        }
        let watch = Watch(flight.clone());
        (Self { rest: bytes, guard: Mutex::new(guard), flight }, watch)
    }
}

// Nothing is ever pinned inside, so a guard need not be `Unpin` either.
impl<G> Unpin for GuardedBody<G> {}

impl<G: SendGuard> Body for GuardedBody<G> {
    type Data = Bytes;
    type Error = GuardStop;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, GuardStop>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            return Poll::Ready(None);
        }
        let mut state = this.flight.state();
        if state.closed {
            return Poll::Ready(Some(Err(CALL_ENDED)));
        }
        if state.in_flight {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if let Err(stop) = this.guard.get_mut().unwrap_or_else(PoisonError::into_inner).check() {
            state.progress = Progress::Stopped(stop);
            this.rest.clear();
            return Poll::Ready(Some(Err(stop)));
        }
        let bytes = this.rest.split_to(PIECE_BYTES.min(this.rest.len()));
        state.in_flight = true;
        if this.rest.is_empty() {
            state.progress = Progress::Whole;
        }
        let piece = Piece { bytes, flight: this.flight.clone() };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    /// Exact, so that the request carries a `Content-Length`.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Poll, Wake},
    };

    use bytes::Bytes;
    use http_body::Body as _;

    use super::{GuardStop, GuardedBody, PIECE_BYTES, Progress, SendGuard, Unguarded, Watch};

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Sender<G> {
        body: GuardedBody<G>,
        watch: Watch,
        wakes: Arc<Wakes>,
    }

    impl<G: SendGuard> Sender<G> {
        fn new(bytes: usize, guard: G) -> Self {
            let (body, watch) = GuardedBody::new(Bytes::from(vec![0; bytes]), guard);
            Self { body, watch, wakes: Arc::default() }
        }

        fn poll(&mut self) -> Poll<Option<Result<Bytes, GuardStop>>> {
            let waker = Arc::clone(&self.wakes).into();
            Pin::new(&mut self.body)
                .poll_frame(&mut Context::from_waker(&waker))
                .map(|next| next.map(|frame| frame.map(|frame| frame.into_data().unwrap())))
        }

        fn progress(&self) -> Progress {
            self.body.flight.state().progress
        }

        fn piece(&mut self) -> Bytes {
            match self.poll() {
                Poll::Ready(Some(Ok(piece))) => piece,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn next_piece_waits_until_the_one_before_it_is_written() {
        let mut sender = Sender::new(2 * PIECE_BYTES, Unguarded);
        let first = sender.piece();
        assert!(sender.poll().is_pending());
        assert_eq!(sender.wakes.0.load(Ordering::Relaxed), 0);
        drop(first);
        assert_eq!(sender.wakes.0.load(Ordering::Relaxed), 1);
        assert_eq!(sender.piece().len(), PIECE_BYTES);
    }

    #[test]
    fn guard_is_not_asked_ahead_of_time() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let guard = move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        let mut sender = Sender::new(2 * PIECE_BYTES, guard);
        let first = sender.piece();
        assert!(sender.poll().is_pending());
        assert_eq!(asked.load(Ordering::Relaxed), 1, "asked while a piece is in flight");
        drop(first);
        sender.piece();
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    /// Fewer questions let more go out after a lease is lost, more of them cost a batch its pace.
    #[test]
    fn guard_of_a_full_batch_is_asked_before_each_64_kib_of_it() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let mut sender = Sender::new(4_500_000, move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let pieces = 4_500_000_usize.div_ceil(65_536);
        for _ in 0..pieces {
            drop(sender.piece());
        }
        assert!(sender.body.is_end_stream());
        assert_eq!(asked.load(Ordering::Relaxed), pieces);
    }

    #[test]
    fn body_is_whole_with_its_last_piece_and_not_before() {
        let mut sender = Sender::new(PIECE_BYTES + 1, Unguarded);
        drop(sender.piece());
        assert_eq!(sender.progress(), Progress::Incomplete);
        assert!(!sender.body.is_end_stream());
        assert_eq!(sender.piece().len(), 1);
        assert_eq!(sender.progress(), Progress::Whole);
        assert!(sender.body.is_end_stream());
        assert!(matches!(sender.poll(), Poll::Ready(None)));
    }

    #[test]
    fn stopped_body_yields_nothing_more() {
        let stop = GuardStop { reason: "the lease is lost" };
        let mut sender = Sender::new(9, move || Err(stop));
        assert!(matches!(sender.poll(), Poll::Ready(Some(Err(_)))));
        assert_eq!(sender.progress(), Progress::Stopped(stop));
        assert!(matches!(sender.poll(), Poll::Ready(None)));
    }

    #[test]
    fn body_whose_call_is_over_goes_no_further_than_the_call_was_told() {
        let mut sender = Sender::new(2 * PIECE_BYTES, Unguarded);
        let first = sender.piece();
        assert!(sender.poll().is_pending());
        assert_eq!(sender.watch.close(), Progress::Incomplete);
        assert_eq!(sender.wakes.0.load(Ordering::Relaxed), 1, "or the connection waits for ever");
        drop(first);
        assert!(matches!(sender.poll(), Poll::Ready(Some(Err(_)))));
        assert_eq!(sender.progress(), Progress::Incomplete);
    }

    #[test]
    fn dropped_call_ends_its_body() {
        let (mut body, watch) = GuardedBody::new(Bytes::from_static(b"x"), Unguarded);
        drop(watch);
        let waker = Arc::new(Wakes::default()).into();
        let next = Pin::new(&mut body).poll_frame(&mut Context::from_waker(&waker));
        assert!(matches!(next, Poll::Ready(Some(Err(_)))));
    }

    #[test]
    fn pieces_are_slices_of_the_body_and_not_copies() {
        let bytes = Bytes::from(vec![0; PIECE_BYTES + 1]);
        let (mut body, _watch) = GuardedBody::new(bytes.clone(), Unguarded);
        let waker = Arc::new(Wakes::default()).into();
        let next = Pin::new(&mut body).poll_frame(&mut Context::from_waker(&waker));
        let Poll::Ready(Some(Ok(frame))) = next else { panic!("no piece") };
        assert_eq!(frame.data_ref().unwrap().as_ptr(), bytes.as_ptr());
    }
}
