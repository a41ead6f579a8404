//! All that is committed, for who checks a whole run at its end.

use crate::MemoryStore;
use crate::commit::TaskBrief;
use tpm_domain::{Server, ServerId, Task, TaskId};

/// A server's row.
#[derive(Clone, Debug)]
pub struct ServerInside {
    /// The server.
    pub server: Server,
    /// Whether it takes room and keeps its name, addresses and VMID.
    pub holds: bool,
    /// Whether it was taken out of every list.
    pub deleted: bool,
    /// How many names, addresses and VMIDs it holds, a VMID that rests not counted.
    pub held: usize,
}

/// A task's row.
#[derive(Clone, Debug)]
pub struct TaskInside {
    /// The task, a bulk with what it knows of its children.
    pub task: Task,
    /// The task that it takes back.
    pub undoes: Option<TaskId>,
    /// What workers see of it.
    pub brief: TaskBrief,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Inside {
    /// Every server there ever was.
    pub servers: Vec<ServerInside>,
    /// Every task.
    pub tasks: Vec<TaskInside>,
    /// Places taken: task, step, slot.
    pub places: Vec<(TaskId, u32, String)>,
}

impl MemoryStore {
    /// What is committed now, without being exposed to anything.
    #[must_use]
    pub fn look_inside(&self) -> Inside {
        let tables = self.shared.committed().clone();
        let held = |id: ServerId| {
            let held = tables.reservations.iter();
            held.filter(|(_, row)| row.server == id && row.quarantined_at.is_none())
                .count()
        };
        Inside {
            servers: tables
                .servers
                .values()
                .map(|row| ServerInside {
                    server: row.server.clone(),
                    holds: row.holds,
                    deleted: row.deleted,
                    held: held(row.server.id),
                })
                .collect(),
            tasks: tables
                .tasks
                .values()
                .filter_map(|row| {
                    Some(TaskInside {
                        task: tables.task(row.task.id)?,
                        undoes: row.undoes,
                        brief: TaskBrief::of(row),
                    })
                })
                .collect(),
            places: tables.slots.iter().map(|(key, ())| key.clone()).collect(),
        }
    }
}
