//! The state of a ParaTime: a versioned, authenticated key-value store.
//!
//! A version is a round. Version 0 is the empty tree and every store begins with it. Changes are *staged* on a
//! version, which computes the root and the canonical diff without making anything visible, and *persisted* as the
//! next version once the round is decided. Values are opaque here; on a confidential chain they are ciphertext.
//!
//! A transaction of the database takes far longer than what a round changes. So new versions are appended to a log
//! beside it, and wait in memory until several are written at once (ADR 0086).

mod cache;
mod database;
mod log;
mod packs;
mod pending;
mod pruning;
mod record;
mod snapshot;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};

use self::cache::NodeCache;
use self::database::{PACKS, Tables, VERSIONS, failed};
use self::log::{Entry, Log};
use self::pending::{Pending, Version};
pub use self::pruning::Pruned;
use self::record::Record;
pub use self::snapshot::Snapshot;
pub use crate::errors::StateError;
use crate::tree::{Change, Delta, EMPTY_ROOT, Known, Link, Update};
pub use crate::tree::{Items, Root, verify_proof};

type Result<T> = std::result::Result<T, StateError>;

/// How a store on disk behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether each version is on the disk before it counts. Without it a version survives the death of the process
    /// at any moment, but not of the machine.
    pub fsync: bool,
    /// Memory for nodes, seven eighths of it one by one, the rest as pages of the database [bytes].
    pub cache_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { fsync: false, cache_bytes: 32 << 20 }
    }
}

/// The store. Any number of readers, one writer at a time.
#[derive(Debug)]
pub struct Store {
    /// Before the database, which its tables keep open.
    tip: RwLock<Tip>,
    database: Database,
    cache: Arc<NodeCache>,
    /// Whoever writes holds it. None in memory, and where each version is flushed to the disk: then none waits.
    log: Mutex<Option<Log>>,
    next_batch: AtomicU64,
}

/// What readers see: all of one moment.
#[derive(Debug, Clone)]
struct Tip {
    version: u64,
    root: Option<Link>,
    /// Oldest version that is kept.
    oldest: u64,
    /// The newest versions, which are not in the tables.
    pending: Arc<Pending>,
    tables: Arc<Tables>,
}

impl Tip {
    /// Newest version in the database.
    fn stored(&self) -> u64 {
        self.version - self.pending.versions.len() as u64
    }

    fn pending(&self, version: u64) -> Option<&Version> {
        self.pending.versions.iter().find(|pending| pending.number == version).map(AsRef::as_ref)
    }

    fn unknown(&self, version: u64) -> StateError {
        StateError::UnknownVersion { version, oldest: self.oldest, latest: self.version }
    }
}

/// A state to read: a version, and the root that it is known by.
///
/// The disk is not trusted, and neither is what it says about versions: whoever knows the root names it, and gets that
/// state or none. Without a root the disk's word is taken, which is right only for what is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Number of the version.
    pub version: u64,
    /// Root that it must have.
    pub root: Option<Root>,
}

impl From<u64> for At {
    fn from(version: u64) -> Self {
        Self { version, root: None }
    }
}

/// Changes computed on a version, not visible to anybody.
#[derive(Debug)]
pub struct Staged {
    /// Root of the state with the changes made.
    pub root: Root,
    /// Canonical diff: CBOR `[[key, value or null], ...]`, ascending, without entries that change nothing.
    pub diff: Vec<u8>,
    parent: Option<Link>,
    link: Option<Link>,
    batch: u64,
    delta: Delta,
}

impl Store {
    /// A store in memory.
    ///
    /// # Errors
    /// [`StateError::Database`].
    pub fn memory() -> Result<Self> {
        Self::start(database::in_memory()?, &Options::default())
    }

    /// The store in a file, which is made when it does not exist, and the log beside it, with the ending `log`. One
    /// process can have it open.
    ///
    /// What the log holds is made anew and verified, up to the first entry that does not follow: the disk is not
    /// trusted, and a process may have died while it wrote. Being behind is fine, its owner fetches what is missing.
    ///
    /// # Errors
    /// [`StateError::Database`] when the file cannot be used, [`StateError::Corrupt`] when it is no store.
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        let database = database::open_file(path, options.cache_bytes / 8, options.fsync)?;
        let store = Self::start(database, &options)?;
        let (mut log, raw) = Log::open(path.with_extension("log"))?;
        let before = store.tip().version;
        for entry in log::entries(&raw) {
            if store.tip().version - before == pending::MOST_VERSIONS as u64 || !store.take_up(&entry)? {
                break;
            }
        }
        log.cut(0)?;
        if !options.fsync {
            *store.lock_for_writing() = Some(log);
        }
        Ok(store)
    }

    /// Make a version that the log holds; say whether later ones may follow. What is in the database was written by a
    /// process that died before it emptied the log, or is of another history, which its next version tells.
    fn take_up(&self, entry: &Entry<'_>) -> Result<bool> {
        if entry.version <= self.tip().version {
            return Ok(true);
        }
        match self.apply(entry.version, entry.diff, entry.root) {
            Ok(()) => Ok(true),
            Err(error @ StateError::Database(_)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    fn start(database: Database, options: &Options) -> Result<Self> {
        let transaction = database.begin_write().map_err(failed)?;
        packs::convert(&transaction)?;
        pruning::prepare(&transaction)?;
        let (version, root, oldest, next_batch) = {
            let mut versions = transaction.open_table(VERSIONS).map_err(failed)?;
            let packs = transaction.open_table(PACKS).map_err(failed)?;
            if versions.first().map_err(failed)?.is_none() {
                versions.insert(0, first_version().as_slice()).map_err(failed)?;
            }
            let missing = || StateError::Corrupt("no version".into());
            let oldest = versions.first().map_err(failed)?.ok_or_else(missing)?.0.value();
            let (version, stored) = versions.last().map_err(failed)?.ok_or_else(missing)?;
            let root = Record::decode(stored.value())?.root;
            let last = packs.last().map_err(failed)?.map(|(row, _)| row.value());
            (version.value(), root, oldest, last.map_or(0, |row| packs::batch_of(row) + 1))
        };
        transaction.commit().map_err(failed)?;
        let tables = Arc::new(Tables::open(&database)?);
        Ok(Self {
            tip: RwLock::new(Tip { version, root, oldest, pending: Arc::default(), tables }),
            database,
            cache: Arc::new(NodeCache::new(options.cache_bytes / 8 * 7)),
            log: Mutex::new(None),
            next_batch: AtomicU64::new(next_batch),
        })
    }

    /// Latest version and its root.
    pub fn latest(&self) -> (u64, Root) {
        let tip = self.tip();
        (tip.version, hash_of(tip.root))
    }

    /// Oldest version that is kept.
    pub fn oldest(&self) -> u64 {
        self.tip().oldest
    }

    /// Root of a version.
    ///
    /// # Errors
    /// [`StateError::UnknownVersion`], [`StateError::Database`].
    pub fn root_at(&self, version: u64) -> Result<Root> {
        self.root_in(&self.tip(), version).map(hash_of)
    }

    /// A version for reading.
    ///
    /// # Errors
    /// [`StateError::UnknownVersion`], [`StateError::WrongRoot`], [`StateError::Database`].
    pub fn snapshot(&self, at: impl Into<At>) -> Result<Snapshot> {
        let At { version, root: expected } = at.into();
        let tip = self.tip();
        let root = self.root_in(&tip, version)?;
        if expected.is_some_and(|expected| expected != hash_of(root)) {
            return Err(StateError::WrongRoot { version });
        }
        let pending = tip.pending(version).is_some().then_some(tip.pending);
        Ok(Snapshot { version, root, pending, tables: tip.tables, cache: self.cache.clone() })
    }

    /// The canonical diff that made a version, which is kept when the version is pruned.
    ///
    /// # Errors
    /// [`StateError::UnknownVersion`], [`StateError::Database`].
    pub fn diff_at(&self, version: u64) -> Result<Vec<u8>> {
        let tip = self.tip();
        if version < tip.oldest {
            return pruning::diff_of(&self.database.begin_read().map_err(failed)?, version);
        }
        self.record(&tip, version, |record| record.diff.to_vec())
    }

    /// Compute what the changes (`None` deletes) make of a version. Touched paths only are hashed.
    ///
    /// # Errors
    /// [`StateError::UnknownVersion`], [`StateError::WrongRoot`], [`StateError::BadLength`], [`StateError::Corrupt`],
    /// [`StateError::Database`].
    pub fn stage(&self, parent: impl Into<At>, changes: &BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Result<Staged> {
        let changes = changes.iter().map(|(key, value)| Change { key, value: value.as_deref() });
        self.stage_sorted(parent.into(), &changes.collect::<Vec<_>>())
    }

    fn stage_sorted(&self, parent: At, changes: &[Change<'_>]) -> Result<Staged> {
        let snapshot = self.snapshot(parent)?;
        let batch = self.next_batch.fetch_add(1, Ordering::Relaxed);
        let mut update = Update::new(&snapshot, batch);
        let link = update.run(snapshot.root, changes)?;
        let (effective, delta) = update.finish();
        let diff = record::encode_diff(&effective);
        Ok(Staged { root: hash_of(link), diff, parent: snapshot.root, link, batch, delta })
    }

    /// Make staged changes the next version, atomically and durably.
    ///
    /// # Errors
    /// [`StateError::WrongVersion`], [`StateError::StaleParent`], [`StateError::Database`].
    pub fn persist(&self, staged: &Staged, version: u64) -> Result<()> {
        let mut log = self.lock_for_writing();
        let tip = self.expect_next(version)?;
        if staged.parent != tip.root {
            return Err(StateError::StaleParent);
        }
        let batch = (!staged.delta.fresh.is_empty()).then_some(staged.batch);
        let stale = staged.delta.stale.iter().map(|link| link.id).collect();
        let record = Record { root: staged.link, batch, stale, diff: &staged.diff };
        self.append(&mut log, tip, &record, staged.delta.fresh.clone())?;
        self.cache.replace(&staged.delta.stale, &staged.delta.fresh);
        Ok(())
    }

    /// Make the next version with the state of the latest: a round that failed or changed nothing.
    ///
    /// # Errors
    /// [`StateError::WrongVersion`], [`StateError::Database`].
    pub fn skip(&self, version: u64) -> Result<()> {
        let mut log = self.lock_for_writing();
        let tip = self.expect_next(version)?;
        let record = Record { root: tip.root, batch: None, stale: Vec::new(), diff: &record::encode_diff(&[]) };
        self.append(&mut log, tip, &record, Arc::default())
    }

    /// Make the next version from another node's diff, without any key. A mismatch leaves everything untouched.
    ///
    /// # Errors
    /// [`StateError::WrongVersion`], [`StateError::MalformedDiff`], [`StateError::RootMismatch`],
    /// [`StateError::Corrupt`], [`StateError::Database`].
    pub fn apply(&self, version: u64, diff: &[u8], expected_root: Root) -> Result<()> {
        let parent = self.expect_next(version)?.version;
        let staged = self.stage_sorted(parent.into(), &record::decode_diff(diff)?)?;
        if staged.root != expected_root {
            return Err(StateError::RootMismatch);
        }
        if staged.diff != diff {
            return Err(StateError::MalformedDiff("an entry changes nothing"));
        }
        self.persist(&staged, version)
    }

    /// Go back to a version: all later ones are gone.
    ///
    /// Version 0 can be gone back to when it is pruned, too: then nothing at all is kept.
    ///
    /// # Errors
    /// [`StateError::UnknownVersion`], [`StateError::Database`].
    pub fn rollback(&self, version: u64) -> Result<()> {
        let mut log = self.lock_for_writing();
        let tip = self.tip();
        if version > tip.version || (version < tip.oldest && version > 0) {
            return Err(tip.unknown(version));
        }
        let tip = self.drop_pending(&mut log, tip, version)?;
        if version == tip.version {
            return Ok(());
        }
        if let Some(log) = log.as_mut() {
            // Where it could not be emptied it holds versions that go now.
            log.cut(0)?;
        }
        let transaction = self.database.begin_write().map_err(failed)?;
        if version < tip.oldest {
            pruning::clear(&transaction)?;
            let mut versions = transaction.open_table(VERSIONS).map_err(failed)?;
            versions.insert(0, first_version().as_slice()).map_err(failed)?;
        }
        let root = {
            let mut versions = transaction.open_table(VERSIONS).map_err(failed)?;
            let mut packs = transaction.open_table(PACKS).map_err(failed)?;
            let root = match versions.get(version).map_err(failed)? {
                Some(stored) => Record::decode(stored.value())?.root,
                None => return Err(tip.unknown(version)),
            };
            for gone in version + 1..=tip.version {
                let Some(stored) = versions.remove(gone).map_err(failed)? else { continue };
                if let Some(batch) = Record::decode(stored.value())?.batch {
                    packs::remove_batch(&mut packs, batch)?;
                }
            }
            root
        };
        let oldest = tip.oldest.min(version);
        self.commit(&mut log, transaction, Tip { version, root, oldest, ..tip })
    }

    /// Forget what waits and is later than a version.
    fn drop_pending(&self, log: &mut Option<Log>, tip: Tip, version: u64) -> Result<Tip> {
        let version = version.max(tip.stored());
        let pending = tip.pending.up_to(version);
        let Some(first_gone) = tip.pending.versions.get(pending.versions.len()) else { return Ok(tip) };
        let root = self.root_in(&tip, version)?;
        if let Some(log) = log {
            log.cut(first_gone.logged_at)?;
        }
        let tip = Tip { version, root, pending: Arc::new(pending), ..tip };
        self.set_tip(tip.clone());
        Ok(tip)
    }

    /// Forget versions below `keep_from`, in steps of `most` nodes and versions together.
    ///
    /// The latest version stays, and so do diffs.
    ///
    /// # Errors
    /// [`StateError::Corrupt`], [`StateError::Database`].
    pub fn prune(&self, keep_from: u64, most: usize) -> Result<Pruned> {
        let mut log = self.lock_for_writing();
        let tip = self.tip();
        let keep_from = keep_from.min(tip.version).max(tip.oldest);
        let transaction = self.database.begin_write().map_err(failed)?;
        write_pending(&transaction, &tip)?;
        let pruned = pruning::forget(&transaction, tip.oldest, keep_from, most)?;
        self.commit(&mut log, transaction, Tip { oldest: pruned.oldest, ..tip })?;
        Ok(pruned)
    }

    /// A panic of an earlier writer left nothing half done: its transaction was dropped, and a tip changes at once.
    fn lock_for_writing(&self) -> MutexGuard<'_, Option<Log>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tip(&self) -> Tip {
        self.tip.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_tip(&self, tip: Tip) {
        *self.tip.write().unwrap_or_else(PoisonError::into_inner) = tip;
    }

    fn expect_next(&self, version: u64) -> Result<Tip> {
        let tip = self.tip();
        let last = || StateError::Corrupt("no version can follow".into());
        let expected = tip.version.checked_add(1).ok_or_else(last)?;
        if version == expected { Ok(tip) } else { Err(StateError::WrongVersion { got: version, expected }) }
    }

    fn root_in(&self, tip: &Tip, version: u64) -> Result<Option<Link>> {
        if version == tip.version {
            return Ok(tip.root);
        }
        self.record(tip, version, |record| record.root)
    }

    fn record<T>(&self, tip: &Tip, version: u64, read: impl Fn(&Record<'_>) -> T) -> Result<T> {
        if let Some(pending) = tip.pending(version) {
            return Ok(read(&Record::decode(&pending.record)?));
        }
        let stored = tip.tables.versions.get(version).map_err(failed)?.filter(|_| version >= tip.oldest);
        Ok(read(&Record::decode(stored.ok_or_else(|| tip.unknown(version))?.value())?))
    }

    /// Keep the next version: in the log, or in the database with all that wait.
    fn append(&self, log: &mut Option<Log>, tip: Tip, record: &Record<'_>, fresh: Arc<Vec<Known>>) -> Result<()> {
        let version = tip.version + 1;
        let logged_at = log.as_ref().map_or(0, Log::end);
        let pending = Arc::new(tip.pending.with(Version::new(version, record, fresh, logged_at)));
        let tip = Tip { version, root: record.root, pending, ..tip };
        match log {
            Some(log) if !tip.pending.is_due() && log.has_room_for(record.diff) => {
                log.append(&Entry { version, root: hash_of(record.root), diff: record.diff })?;
                self.set_tip(tip);
                Ok(())
            }
            _ => self.write(log, tip),
        }
    }

    /// Write all versions that wait.
    fn write(&self, log: &mut Option<Log>, tip: Tip) -> Result<()> {
        let transaction = self.database.begin_write().map_err(failed)?;
        write_pending(&transaction, &tip)?;
        self.commit(log, transaction, tip)
    }

    /// Make a transaction count, after which none waits. The log is emptied last: who dies before finds in it what the
    /// database has as well, and so does who cannot empty it.
    fn commit(&self, log: &mut Option<Log>, transaction: WriteTransaction, tip: Tip) -> Result<()> {
        transaction.commit().map_err(failed)?;
        let tables = Arc::new(Tables::open(&self.database)?);
        self.set_tip(Tip { pending: Arc::default(), tables, ..tip });
        if let Some(log) = log {
            let _ = log.cut(0);
        }
        Ok(())
    }
}

impl Drop for Store {
    /// Write what waits; it stays in the log where that fails.
    fn drop(&mut self) {
        let tip = self.tip();
        if !tip.pending.versions.is_empty() {
            let _ = self.write(&mut self.lock_for_writing(), tip);
        }
    }
}

fn write_pending(transaction: &WriteTransaction, tip: &Tip) -> Result<()> {
    let mut versions = transaction.open_table(VERSIONS).map_err(failed)?;
    for pending in &tip.pending.versions {
        packs::write(transaction, &pending.fresh)?;
        versions.insert(pending.number, pending.record.as_slice()).map_err(failed)?;
    }
    Ok(())
}

/// Record of version 0, the empty tree.
fn first_version() -> Vec<u8> {
    Record { root: None, batch: None, stale: Vec::new(), diff: &record::encode_diff(&[]) }.encode()
}

fn hash_of(root: Option<Link>) -> Root {
    root.map_or(EMPTY_ROOT, |link| link.hash)
}
