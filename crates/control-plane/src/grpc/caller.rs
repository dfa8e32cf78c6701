use segue_access::Principal;
use tonic::{Request, Status};

/// Who makes a call: whoever stands at the door of the listener has put it there.
pub(super) fn caller<T>(request: &Request<T>) -> Result<&Principal, Status> {
    let words = "nobody stands at the door of this listener: it must not serve this";
    request.extensions().get().ok_or_else(|| Status::internal(words))
}
