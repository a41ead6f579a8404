//! The time between being asked to stop and stopping: whoever sends requests is told to send them
//! elsewhere, and everything that still comes is answered. When to stop is not decided here.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;
use tokio::sync::watch;

/// Whether the process is leaving. Clones are the same.
#[derive(Clone, Debug)]
pub struct Leaving(Arc<watch::Sender<bool>>);

impl Default for Leaving {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl Leaving {
    /// From now on `/readyz` answers 503, every answer on HTTP/1 is the last one on its connection, and
    /// answers that would go on end.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Comes back once it has begun.
    pub(crate) async fn begun(&self) {
        let mut begun = self.0.subscribe();
        // The sender is here, so the wait cannot fail.
        let _ = begun.wait_for(|begun| *begun).await;
    }
}

/// A client that is told so does not send its next request on a connection that closes meanwhile.
pub(crate) async fn close_after(
    State(leaving): State<Leaving>,
    request: Request,
    next: Next,
) -> Response {
    let version = request.version();
    let mut response = next.run(request).await;
    if leaving.has_begun() && version < Version::HTTP_2 {
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
