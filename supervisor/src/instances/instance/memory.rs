//! The memory limit of an instance's workers.

use super::{ScriptInstance, moment, reports};
use crate::ids::WorkerId;
use crate::instances::context::LoopContext;
use crate::instances::exit::ExitReason;
use crate::instances::memory_watch::OverMemory;
use crate::instances::supervision::stop::StopStage;
use crate::instances::supervision::workers::WorkerHandle;

impl ScriptInstance {
    /// A worker has a process from now on, or became one of this instance.
    pub(super) fn watch_memory(&mut self, id: WorkerId, cx: &mut LoopContext<'_>) {
        let pid = self.supervision.workers().get(id).and_then(|member| member.worker.pid());
        if let Some(pid) = pid {
            cx.memory_watch.watch(id, pid, self.memory_limit);
        }
    }

    /// The limit of all workers is another one.
    pub(super) fn apply_memory_limit(&mut self, limit: Option<u64>, cx: &mut LoopContext<'_>) {
        if limit == self.memory_limit {
            return;
        }
        self.memory_limit = limit;
        let ids: Vec<WorkerId> = self.supervision.workers().iter().map(|member| member.worker.id()).collect();
        ids.into_iter().for_each(|id| self.watch_memory(id, cx));
    }

    /// A worker and the processes of its script use too much.
    pub fn over_memory(&mut self, over: OverMemory, cx: &mut LoopContext<'_>) {
        let OverMemory { worker_id, used, limit, processes } = over;
        let Some(member) = self.supervision.workers_mut().get_mut(worker_id) else { return };
        // Its end is on the way, for a reason that is in the log.
        if matches!(member.stage(), Some(StopStage::DumpingStacks { .. } | StopStage::Killed)) {
            return;
        }
        let reason = ExitReason::OverMemory { used, limit, processes };
        reports::over_memory(&self.name, &reason);
        member.worker.process.ending = Some(reason);
        self.supervision.fault(worker_id, true, moment(cx));
        self.follow_up(cx);
    }
}
