//! What every worker of an instance is started with: its modules, its directory, its environment.

use super::data_plane::values::{BootedNames, Values};
use super::launcher::WorkerLauncher;
use super::worker::Worker;
use super::worker_message::{BootPlan, WorkerMessage};
use crate::ids::WorkerId;
use crate::instances::options::{ModuleRef, PythonOptions};
use crate::show::LiveInstance;
use mm_config::Show;
use mm_shared::control::{BitSet, ImportMode, Module};
use mm_shared::frame;
use mm_shared::source_files::BYTES_LIMIT;
use std::path::PathBuf;

/// The most bytes that channels take in a boot. The sources of a script have their own limit, and
/// the rest a mebibyte.
const NAMES_LIMIT: usize = frame::BOOT_LIMIT - (1 << 20) - BYTES_LIMIT;

/// What every worker of an instance is started with.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerSpec {
    instance: String,
    directory: PathBuf,
    modules: Vec<Module>,
    default_handler: Option<String>,
    venv: Option<PathBuf>,
    watch: bool,
    targets: MappingTargets,
}

/// The channels to which mappings lead, by number. They matter for warnings alone, so a worker that
/// was started with others does as well: all are equal.
#[derive(Debug, Clone)]
struct MappingTargets(BitSet);

impl PartialEq for MappingTargets {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What a new show file says of the workers of an instance.
#[derive(Debug, Clone)]
pub struct Specification {
    /// What they run.
    pub spec: WorkerSpec,
    /// All their channels.
    pub names: Vec<String>,
    /// Its number within the instance.
    pub generation: u64,
}

impl WorkerSpec {
    /// The specification for an instance.
    #[must_use]
    pub fn new(show: &Show, live: LiveInstance<'_>, options: &PythonOptions) -> Self {
        let module =
            |module: &ModuleRef| Module { text: module.text.clone(), directory: module.directory.clone() };
        let mut targets = BitSet::default();
        live.targets().for_each(|(channel, _)| targets.insert(channel.0));
        Self {
            instance: live.instance.name.clone(),
            directory: show.directory.clone(),
            modules: options.modules.iter().map(module).collect(),
            default_handler: options.default_handler.clone(),
            venv: options.venv.clone(),
            watch: options.watch,
            targets: MappingTargets(targets),
        }
    }

    /// Whether the spare worker can become one of this instance.
    #[must_use]
    pub fn fits_spare(&self) -> bool {
        self.venv.is_none()
    }

    /// The files whose change reloads the instance, as far as they are known without an import;
    /// none if it is not to be watched. A module may be a file, or a package.
    #[must_use]
    pub fn watched_files(&self) -> Option<Vec<PathBuf>> {
        if !self.watch {
            return None;
        }
        let candidates = |module: &Module| {
            let stem = module.text.strip_suffix(".py").unwrap_or(&module.text);
            let path = if stem.contains('/') { stem.to_owned() } else { stem.replace('.', "/") };
            let places = [module.directory.clone(), self.directory.clone()];
            places.map(|place| [place.join(format!("{path}.py")), place.join(&path).join("__init__.py")])
        };
        let mut files: Vec<PathBuf> = self.modules.iter().flat_map(candidates).flatten().collect();
        files.sort();
        files.dedup();
        Some(files)
    }

    /// Starts a worker and gives it its boot.
    ///
    /// # Errors
    ///
    /// The system has no descriptor, memory or thread left, or the boot is too long.
    pub fn begin(
        &self,
        launcher: &mut WorkerLauncher,
        id: WorkerId,
        values: &mut Values,
        import: ImportMode,
    ) -> Result<(Worker, BootedNames), String> {
        let (directory, venv) = (self.directory.clone(), self.venv.clone());
        let mut worker = Worker::begin(launcher, id, directory, venv).map_err(|error| error.to_string())?;
        let booted = self.boot(&mut worker, values, import)?;
        Ok((worker, booted))
    }

    /// Gives a worker its boot, which makes it one of this instance. One that cannot have it is
    /// killed.
    ///
    /// # Errors
    ///
    /// The boot is too long.
    pub fn boot(
        &self,
        worker: &mut Worker,
        values: &mut Values,
        import: ImportMode,
    ) -> Result<BootedNames, String> {
        let bytes = values.boot_bytes();
        if bytes > NAMES_LIMIT {
            worker.kill();
            let limit = NAMES_LIMIT >> 20;
            return Err(format!("its channels take {} MiB, more than the {limit} allowed", bytes >> 20));
        }
        let (channels, booted) = values.boot();
        worker.end.set_channel_limit(values.limit());
        worker.send(WorkerMessage::Boot(Box::new(BootPlan {
            instance: self.instance.clone(),
            directory: self.directory.clone(),
            modules: self.modules.clone(),
            default_handler: self.default_handler.clone(),
            targets: self.targets.0.clone(),
            import,
            channels,
        })));
        Ok(booted)
    }
}
