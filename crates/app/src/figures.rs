//! The service's own metrics: figures of the whole installation, and what the process counted itself.

use crate::{App, Ctx, Result};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tpm_domain::Permission;
use tpm_store::{StoreError, Supplies, TaskFigure};

/// For so long figures of the database are told again without asking it.
const FRESH: Duration = Duration::from_secs(3);
/// Kinds of processes that are told of also when there is none.
const KINDS: [&str; 2] = ["api", "worker"];

/// In which form metrics are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsForm {
    /// The text of Prometheus, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// The installation in figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Tasks by kind and state.
    pub tasks: Vec<TaskFigure>,
    /// Numbers that are left, and the age of the picture.
    pub supplies: Supplies,
    /// Networks by name, and how many addresses each can still give.
    pub networks: Vec<(String, u64)>,
    /// Kinds of processes, and how many of each are alive.
    pub alive: Vec<(String, u64)>,
}

/// What a process tells of itself.
pub trait OwnMetrics: Send + Sync {
    /// Everything the process counted, with the installation's figures where they are known, and how many
    /// follow live events at this process.
    fn text(&self, form: MetricsForm, figures: Option<&Figures>, followers: usize) -> String;
}

/// Figures that were asked for lately.
pub(crate) type Cached = Arc<Mutex<Option<(Instant, Arc<Figures>)>>>;

impl App {
    /// The process's own metrics as a text. The process's part is told also when the database does not answer.
    ///
    /// # Errors
    /// Forbidden.
    pub async fn own_metrics(&self, ctx: &Ctx, form: MetricsForm) -> Result<String> {
        ctx.authorize(Permission::ReadMonitoring)?;
        let Some(own) = &self.parts().metrics else {
            return Ok(String::new());
        };
        let figures = match self.figures().await {
            Ok(figures) => Some(figures),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "metrics without the figures of the database"
                );
                None
            }
        };
        Ok(own.text(form, figures.as_deref(), self.followers()))
    }

    /// Asked for once, however many ask at once.
    async fn figures(&self) -> std::result::Result<Arc<Figures>, StoreError> {
        let mut cached = self.cached.lock().await;
        if let Some((at, figures)) = &*cached
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(figures));
        }
        let reads = self.store().reads();
        let views = self.network_views(&*reads).await?;
        let processes = self.process_views(reads.processes().await?);
        let alive = KINDS.map(|kind| {
            let of_kind = processes
                .iter()
                .filter(|view| view.alive && view.process.kind == kind);
            (kind.to_owned(), of_kind.count() as u64)
        });
        let figures = Arc::new(Figures {
            tasks: reads.task_figures().await?,
            supplies: reads.supplies(self.policy().vmids).await?,
            networks: views
                .into_iter()
                .map(|view| (view.network.name.to_string(), view.free))
                .collect(),
            alive: alive.into(),
        });
        *cached = Some((Instant::now(), Arc::clone(&figures)));
        Ok(figures)
    }
}
