//! The wire between a program and its database, to be cut without a word: both ends stay connected, and
//! nothing arrives any more, as when a machine loses power or a firewall forgets.

use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A wire; ends when dropped.
pub(crate) struct Wire {
    address: SocketAddr,
    cuts: Arc<watch::Sender<u32>>,
    _running: JoinSet<()>,
}

impl Wire {
    /// To this address, `127.0.0.1:5432`.
    pub(crate) async fn to(target: String) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let cuts = Arc::new(watch::Sender::new(0));
        let mut running = JoinSet::new();
        let seen = Arc::clone(&cuts);
        running.spawn(async move {
            let mut each = JoinSet::new();
            while let Ok((here, _)) = listener.accept().await {
                let mut cut = seen.subscribe();
                let target = target.clone();
                each.spawn(carry(here, target, async move {
                    let _ = cut.changed().await;
                }));
            }
        });
        Ok(Self {
            address,
            cuts,
            _running: running,
        })
    }

    /// The near end.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing passes on any connection there is. New ones work.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }
}

async fn carry(mut here: TcpStream, target: String, cut: impl Future<Output = ()>) {
    let Ok(mut there) = TcpStream::connect(target).await else {
        return;
    };
    let _ = here
        .set_nodelay(true)
        .and_then(|()| there.set_nodelay(true));
    tokio::select! {
        // What arrives at the moment of the cut does not pass.
        biased;
        () = cut => std::future::pending().await,
        _ = copy_bidirectional(&mut here, &mut there) => {}
    }
}
