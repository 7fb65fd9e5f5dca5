//! A plugin's own thread: a hang takes this plugin and nobody else.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A poll that takes longer than this is a hang.
pub(super) const POLL_MAX: Duration = Duration::from_secs(5);

/// One thread that polls what a plugin's calls return.
#[derive(Debug)]
pub(super) struct PluginRuntime {
    handle: Handle,
    polls: Arc<Polls>,
    hung: watch::Receiver<bool>,
    /// Dropping it lets the thread end, if it still listens.
    _stop: tokio::sync::oneshot::Sender<()>,
}

#[derive(Debug)]
struct Polls {
    epoch: Instant,
    /// Milliseconds since `epoch` at which the poll that is under way began, plus one; 0 is none.
    began: AtomicU64,
}

impl PluginRuntime {
    /// Starts the thread, and on `watcher` the task that looks after it.
    pub(super) fn start(plugin: &str, watcher: &Handle) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        std::thread::Builder::new()
            .name(format!("plugin {plugin}"))
            .spawn(move || {
                // Ends by an error when the sender is dropped, which is the sign to stop.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?;
        let polls = Arc::new(Polls {
            epoch: Instant::now(),
            began: AtomicU64::new(0),
        });
        let (hang, hung) = watch::channel(false);
        watcher.spawn(watch_polls(plugin.to_owned(), Arc::downgrade(&polls), hang));
        Ok(Self {
            handle,
            polls,
            hung,
            _stop: stop,
        })
    }

    /// Runs a future of the plugin there.
    pub(super) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        self.handle.spawn(Timed {
            future: Box::pin(future),
            polls: self.polls.clone(),
        })
    }

    /// Whether a poll hangs, or hung: the thread is then lost.
    pub(super) fn is_hung(&self) -> bool {
        *self.hung.borrow()
    }

    /// Ends when a poll hangs.
    pub(super) async fn hung(&self) {
        let mut hung = self.hung.clone();
        // An error means that the watcher is gone with its runtime: nothing to wait for.
        if hung.wait_for(|hung| *hung).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Polls {
    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn under_way_for(&self) -> Duration {
        match self.began.load(Ordering::Acquire) {
            0 => Duration::ZERO,
            began => Duration::from_millis(self.now().saturating_sub(began - 1)),
        }
    }
}

async fn watch_polls(plugin: String, polls: std::sync::Weak<Polls>, hang: watch::Sender<bool>) {
    let mut ticks = tokio::time::interval(POLL_MAX / 10);
    loop {
        ticks.tick().await;
        let Some(polls) = polls.upgrade() else { return };
        if polls.under_way_for() > POLL_MAX {
            tracing::error!(
                plugin,
                "plugin `{plugin}` hangs in a poll; its thread is abandoned"
            );
            hang.send_replace(true);
            return;
        }
    }
}

/// Notes when each poll begins and ends.
struct Timed<F> {
    future: Pin<Box<F>>,
    polls: Arc<Polls>,
}

impl<F: Future> Future for Timed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let began = self.polls.now() + 1;
        self.polls.began.store(began, Ordering::Release);
        let poll = self.future.as_mut().poll(context);
        self.polls.began.store(0, Ordering::Release);
        poll
    }
}
