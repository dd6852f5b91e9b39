//! Parts on disk: what an origin gave once is not asked of it again after a restart, or when memory is short.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::Lru;

/// Bytes of a hash, which a file begins with.
const HASH: usize = 32;
/// KiB of parts that are being written, at most; what comes meanwhile is not kept.
const WRITING: u32 = 32 << 10;
/// There is no end but the budget.
const FOR_EVER: Duration = Duration::from_secs(u64::MAX);
/// What the name of a file that is being written ends with.
const UNFINISHED: &str = "part";

/// A folder of parts with a budget of bytes; what was not used for the longest time goes first. Clones share it.
///
/// A file has the SHA-256 of what follows, and is left out of account when that is not right any more: neither a crash
/// nor a bad disk makes wrong bytes. Other files of the folder are left alone.
#[derive(Debug, Clone)]
pub struct Disk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    known: Mutex<Lru<String, ()>>,
    writers: Arc<Semaphore>,
}

impl Disk {
    /// Takes a folder over, which is made if there is none, with what an earlier run has left in it.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(folder: &Path, budget: u64) -> std::io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            match name.split_once('.') {
                None if is_name(&name) => {
                    found.extend(entry.metadata().ok().map(|metadata| (used(&metadata), name, metadata.len())))
                }
                Some((stem, UNFINISHED)) if is_name(stem) => remove(&entry.path()),
                _ => {}
            }
        }
        found.sort();
        let known = Mutex::new(Lru::new(usize::try_from(budget).unwrap_or(usize::MAX)));
        let disk = Self(Arc::new(Inner {
            folder: folder.to_owned(),
            known,
            writers: Arc::new(Semaphore::new(WRITING as usize)),
        }));
        found.into_iter().for_each(|(_, name, bytes)| disk.0.keep(name, bytes));
        Ok(disk)
    }

    /// A part of so many bytes, if it is there and whole.
    pub(crate) async fn get(&self, key: &str, count: u64) -> Option<Bytes> {
        let name = name(key);
        self.0.lock().get(&name, Instant::now())?;
        let inner = Arc::clone(&self.0);
        let read = tokio::task::spawn_blocking(move || {
            let part = read(&inner.folder.join(&name), count);
            if part.is_none() {
                tracing::warn!(name, "a part on disk is damaged");
                inner.forget(&name);
            }
            part
        });
        read.await.ok().flatten()
    }

    /// Keeps a part, unless too many are being written.
    pub(crate) fn put(&self, key: &str, part: &Bytes) {
        let kib = u32::try_from(part.len() >> 10).unwrap_or(u32::MAX).clamp(1, WRITING);
        let Ok(permit) = Arc::clone(&self.0.writers).try_acquire_many_owned(kib) else { return };
        let (inner, name, part) = (Arc::clone(&self.0), name(key), part.clone());
        drop(tokio::task::spawn_blocking(move || {
            if let Err(error) = inner.write(&name, &part) {
                tracing::warn!(%error, "a part is not kept on disk");
            }
            drop(permit);
        }));
    }

    /// Bytes of all.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.lock().bytes()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Lru<String, ()>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, name: &str, part: &Bytes) -> std::io::Result<()> {
        let place = self.folder.join(name);
        let unfinished = place.with_extension(UNFINISHED);
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(&Sha256::digest(part))?;
        file.write_all(part)?;
        fs::rename(&unfinished, &place)?;
        self.keep(name.to_owned(), u64::try_from(part.len() + HASH).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Remembers a file, and removes those that it leaves no room for, itself perhaps.
    fn keep(&self, name: String, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let gone = self.lock().insert(name, (), bytes, FOR_EVER, Instant::now());
        gone.iter().for_each(|name| remove(&self.folder.join(name)));
    }

    fn forget(&self, name: &str) {
        self.lock().remove(&name.to_owned());
        remove(&self.folder.join(name));
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(path = %path.display(), %error, "not removed");
    }
}

/// When a file was used last; its time of change stands for that where the system does not keep it.
fn used(metadata: &fs::Metadata) -> SystemTime {
    metadata.accessed().or(metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The name of the file of a key.
fn name(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_name(text: &str) -> bool {
    text.len() == 2 * HASH && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The part in a file, if it is whole.
fn read(path: &Path, count: u64) -> Option<Bytes> {
    let mut file = fs::File::open(path).ok()?;
    let mut hash = [0; HASH];
    file.read_exact(&mut hash).ok()?;
    let mut part = Vec::with_capacity(usize::try_from(count).ok()?);
    // One byte more tells a file that is too long.
    file.take(count.saturating_add(1)).read_to_end(&mut part).ok()?;
    let is_whole = u64::try_from(part.len()) == Ok(count) && Sha256::digest(&part)[..] == hash;
    is_whole.then(|| part.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes at once what [`Disk::put`] writes soon.
    fn put(disk: &Disk, key: &str, part: &'static [u8]) {
        disk.0.write(&name(key), &Bytes::from_static(part)).unwrap();
    }

    #[tokio::test]
    async fn parts_outlive_a_restart_within_the_budget() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "left alone").unwrap();
        fs::write(folder.path().join(name("x")).with_extension(UNFINISHED), "gone").unwrap();
        let budget = 3 * 32 + 10;
        let disk = Disk::open(folder.path(), budget).unwrap();
        put(&disk, "a", b"aaaa");
        put(&disk, "b", b"bbb");
        let disk = Disk::open(folder.path(), budget).unwrap();
        assert_eq!(disk.get("b", 3).await.unwrap(), "bbb");
        assert_eq!(disk.get("a", 4).await.unwrap(), "aaaa");
        assert_eq!((disk.get("c", 3).await, disk.bytes()), (None, 71));
        put(&disk, "c", b"cccccc");
        // The longest unused has made room.
        assert_eq!((disk.get("b", 3).await, disk.bytes()), (None, 74));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        put(&disk, "d", &[0; 200]);
        assert_eq!((disk.get("d", 200).await, fs::read_dir(folder.path()).unwrap().count()), (None, 3));
    }

    #[tokio::test]
    async fn what_is_damaged_is_not_served_and_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path(), 1 << 20).unwrap();
        let damages: [fn(&mut Vec<u8>); 3] =
            [|bytes| bytes[40] ^= 1, |bytes| bytes.truncate(41), |bytes| bytes.push(0)];
        for damage in damages {
            put(&disk, "a", b"0123456789");
            let path = folder.path().join(name("a"));
            let mut bytes = fs::read(&path).unwrap();
            damage(&mut bytes);
            fs::write(&path, bytes).unwrap();
            assert_eq!(disk.get("a", 10).await, None);
            assert_eq!((path.exists(), disk.bytes()), (false, 0));
        }
    }
}
