//! What the driver has made of kernels, kept in a file from one process to the next.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | [`MAGIC`] |
//! | 4 | [`FORMAT`] |
//! | 4, 4, 4 | ids of vendor and device, version of the driver |
//! | 16 | `pipelineCacheUUID` |
//! | 8 | [`fnv`] of the kernels' SPIR-V |
//! | 8 | length of the data |
//! | 8 | [`fnv`] of the data |
//! | | the data, as Vulkan has it |
//!
//! All numbers are little-endian.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ash::vk;
use tempfile::NamedTempFile;

use super::device::{Device, DeviceRef};
use super::error::{BackendError, Result};
use crate::shaders::{self, fnv};

const MAGIC: &[u8; 8] = b"VKSCANPC";
const FORMAT: u32 = 1;
/// Magic, format and whose the data is.
const IDENTITY_BYTES: usize = 48;
const HEADER_BYTES: usize = IDENTITY_BYTES + 16;
/// Bytes of a file that is read, at most.
const MOST_BYTES: u64 = 256 << 20;

/// A cache of the driver's for pipelines, and the file that it is read from and written to.
pub(super) struct CacheFile {
    device: DeviceRef,
    raw: vk::PipelineCache,
    path: PathBuf,
    identity: [u8; IDENTITY_BYTES],
    /// Hash of the data that the file holds, as far as this process knows. Held while the file is written.
    written: Mutex<Option<u64>>,
}

impl CacheFile {
    /// Begins with what the file holds, if there is anything to begin with.
    pub(super) fn open(device: &Arc<Device>, path: &Path) -> Result<CacheFile> {
        let identity = identity(device);
        let found = read(path, &identity).unwrap_or_else(|reason| {
            tracing::warn!("the pipeline cache {path:?} is ignored: {reason}");
            None
        });
        let data = found.as_deref().map_or(&[][..], |bytes| &bytes[HEADER_BYTES..]);
        let info = vk::PipelineCacheCreateInfo::default().initial_data(data);
        let raw = device.call("vkCreatePipelineCache", || {
            // SAFETY: the data is what a cache of this device and driver was written as, by its hash.
            unsafe { device.raw().create_pipeline_cache(&info, None) }
        })?;
        device.names().set(raw, "pipeline cache");
        Ok(CacheFile {
            device: DeviceRef::new(device),
            raw,
            path: path.to_owned(),
            identity,
            written: Mutex::new(found.is_some().then(|| fnv(data.iter().copied()))),
        })
    }

    pub(super) fn raw(&self) -> vk::PipelineCache {
        self.raw
    }

    /// Writes the file anew, if there is anything new.
    pub(super) fn save(&self) -> Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let data = self.device.call("vkGetPipelineCacheData", || {
            // SAFETY: the cache is of this device.
            unsafe { self.device.raw().get_pipeline_cache_data(self.raw) }
        })?;
        let data_hash = fnv(data.iter().copied());
        if *written == Some(data_hash) {
            return Ok(());
        }
        let mut header = self.identity.to_vec();
        header.extend((data.len() as u64).to_le_bytes());
        header.extend(data_hash.to_le_bytes());
        write(&self.path, &[&header, &data]).map_err(|reason| {
            let reason = format!("{:?}: {reason}", self.path);
            BackendError::PipelineCache { reason }
        })?;
        *written = Some(data_hash);
        Ok(())
    }
}

impl Drop for CacheFile {
    fn drop(&mut self) {
        // A lost device tells nothing any more, and has been reported.
        if !self.device.is_lost()
            && let Err(error) = self.save()
        {
            tracing::warn!("the pipeline cache {:?} was not written: {error}", self.path);
        }
        // SAFETY: nothing else has the handle: whoever makes pipelines with it borrows this.
        unsafe { self.device.raw().destroy_pipeline_cache(self.raw, None) };
    }
}

/// How a file begins whose data is of any use.
fn identity(device: &Device) -> [u8; IDENTITY_BYTES] {
    // SAFETY: the physical device is of this instance.
    let properties =
        unsafe { device.instance().raw().get_physical_device_properties(device.physical()) };
    let fields: [&[u8]; 7] = [
        MAGIC,
        &FORMAT.to_le_bytes(),
        &properties.vendor_id.to_le_bytes(),
        &properties.device_id.to_le_bytes(),
        &properties.driver_version.to_le_bytes(),
        &properties.pipeline_cache_uuid,
        &shaders::hash().to_le_bytes(),
    ];
    fields.concat().try_into().expect("that many bytes")
}

/// A whole file that begins with `identity`, header included; none if there is no file, or why it is of no use.
fn read(path: &Path, identity: &[u8; IDENTITY_BYTES]) -> Result<Option<Vec<u8>>, String> {
    let Some(file) = open(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    check(&bytes, identity).map(|()| Some(bytes)).map_err(str::to_owned)
}

fn check(bytes: &[u8], identity: &[u8; IDENTITY_BYTES]) -> Result<(), &'static str> {
    if bytes.len() as u64 > MOST_BYTES {
        return Err("it has more than 256 MiB");
    }
    if !is_ours(bytes) {
        return Err("it is no pipeline cache of vkscan's");
    }
    let (Some((found, rest)), Some(data)) =
        (bytes.split_first_chunk::<IDENTITY_BYTES>(), bytes.get(HEADER_BYTES..))
    else {
        return Err("it is cut off");
    };
    if found != identity {
        return Err("it is of another device, driver or version of vkscan");
    }
    let words = [data.len() as u64, fnv(data.iter().copied())].map(u64::to_le_bytes);
    if rest[..16] != *words.as_flattened() {
        return Err("it is cut off or damaged");
    }
    Ok(())
}

/// Whether that is how a cache begins, as far as it goes.
fn is_ours(bytes: &[u8]) -> bool {
    let (bytes, magic) = (bytes.iter(), MAGIC.iter());
    bytes.zip(magic).all(|(byte, expected)| byte == expected)
}

/// The file, if there is one: what is no file may block, or have no end.
fn open(path: &Path) -> Result<Option<File>, String> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            File::open(path).map(Some).map_err(|error| error.to_string())
        }
        Ok(_) => Err("it is no file".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Puts a file in the place of the one that is there, if that is a cache: whoever reads meanwhile gets all of one or all of
/// the other.
fn write(path: &Path, parts: &[&[u8]]) -> Result<(), String> {
    let mut head = Vec::new();
    if let Some(file) = open(path)? {
        let read = file.take(MAGIC.len() as u64).read_to_end(&mut head);
        read.map_err(|error| error.to_string())?;
    }
    if !is_ours(&head) {
        return Err("what is there is no pipeline cache of vkscan's: name another file".to_owned());
    }
    // Not the link to it.
    let path = match fs::canonicalize(path) {
        Ok(path) => path,
        Err(_) if fs::symlink_metadata(path).is_ok_and(|there| there.is_symlink()) => {
            return Err("it is a link to nothing: name another file".to_owned());
        }
        Err(_) => path.to_owned(),
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let replace = || {
        let mut file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        // Whoever could read the one can read the other.
        if let Ok(there) = fs::metadata(&path) {
            file.as_file().set_permissions(there.permissions())?;
        }
        file.persist(&path)?;
        Ok(())
    };
    replace().map_err(|error: io::Error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::testing::TestBackend;
    use super::super::{Backend, BackendOptions};
    use super::*;
    use crate::{RulePipeline, ScanScratch};

    /// What is warned of meanwhile, a line each.
    fn warnings<T>(meanwhile: impl FnOnce() -> T) -> (T, Vec<String>) {
        #[derive(Clone, Default)]
        struct Log(Arc<Mutex<Vec<u8>>>);

        impl Write for Log {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let done = tracing::subscriber::with_default(subscriber, meanwhile);
        let lines = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        // Of the drivers that tests run on, all of which are slow.
        let lines = lines.lines().filter(|line| !line.contains("scanning on a CPU"));
        (done, lines.map(str::to_owned).collect())
    }

    /// A folder, and a file in it.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pipelines");
        (folder, file)
    }

    fn options(file: &Path) -> BackendOptions {
        BackendOptions { pipeline_cache: Some(file.to_owned()), ..TestBackend::options() }
    }

    fn scan(backend: &Backend) {
        let rules = RulePipeline::new(&["ab+"]).unwrap();
        let session = rules.prepare_resident(backend, 16, 10).unwrap();
        let mut matches = Vec::new();
        session.scan_into(backend, b"-abb-", &mut matches, &mut ScanScratch::default()).unwrap();
        assert_eq!(matches, rules.reference_scan(b"-abb-"));
        session.free(backend).unwrap();
    }

    /// Opens the file as it is, and says what is warned of then and when it is closed.
    fn open_and_close(device: &Arc<Device>, path: &Path) -> [Vec<String>; 2] {
        let (file, opening) = warnings(|| CacheFile::open(device, path).unwrap());
        let ((), closing) = warnings(|| drop(file));
        [opening, closing]
    }

    #[test]
    fn what_one_backend_has_written_the_next_one_reads() {
        let (_folder, path) = place();
        let ((), warned) = warnings(|| {
            for round in 0..2 {
                // Two at a time, on one file.
                let backends = [(); 2].map(|()| TestBackend::open(&options(&path)));
                for backend in &backends {
                    scan(backend);
                    let file = backend.pipelines.file().unwrap();
                    assert_eq!(file.written.lock().unwrap().is_some(), round == 1);
                    backend.save_pipeline_cache().unwrap();
                    assert!(read(&path, &file.identity).unwrap().is_some());
                }
            }
        });
        assert_eq!(warned, [""; 0]);
        // Nothing is left of what it was written as.
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_written_where_there_is_something_new() {
        let (_folder, path) = place();
        let backend = TestBackend::new();
        let device = backend.device();
        drop(CacheFile::open(device, &path).unwrap());
        let file = CacheFile::open(device, &path).unwrap();
        fs::remove_file(&path).unwrap();
        file.save().unwrap();
        assert!(!path.exists());
        *file.written.lock().unwrap() = Some(0);
        file.save().unwrap();
        assert!(path.exists());
    }

    #[test]
    fn a_damaged_file_is_ignored_and_replaced() {
        let (_folder, path) = place();
        let backend = TestBackend::new();
        let device = backend.device();
        assert_eq!(open_and_close(device, &path), [[""; 0]; 2]);
        let good = fs::read(&path).unwrap();
        let mut damaged: Vec<Vec<u8>> = (0..good.len()).map(|len| good[..len].to_vec()).collect();
        damaged.push([&good[..], b"more"].concat());
        for at in 0..good.len() {
            for flipped in [1, 0x80, 0xff] {
                let mut bytes = good.clone();
                bytes[at] ^= flipped;
                damaged.push(bytes);
            }
        }
        for bytes in &damaged {
            fs::write(&path, bytes).unwrap();
            let [opening, closing] = open_and_close(device, &path);
            let named = format!("the pipeline cache {path:?} is ignored: it is ");
            assert!(opening.len() == 1 && opening[0].contains(&named), "{opening:?}");
            let left = fs::read(&path).unwrap();
            if is_ours(bytes) {
                assert_eq!((closing, left), (vec![], good.clone()));
            } else {
                // It may be anything.
                assert!(closing[0].contains("name another file"), "{closing:?}");
                assert_eq!(left, *bytes);
            }
        }
        for bytes in [&good[..HEADER_BYTES + 1], b"VKSCANPC"] {
            fs::write(&path, bytes).unwrap();
            let (backend, warned) = warnings(|| TestBackend::open(&options(&path)));
            assert_eq!(warned.len(), 1, "{warned:?}");
            scan(&backend);
        }
    }

    #[test]
    fn a_file_of_another_device_or_driver_is_ignored_and_replaced() {
        let (_folder, path) = place();
        let backend = TestBackend::new();
        let device = backend.device();
        drop(CacheFile::open(device, &path).unwrap());
        let good = fs::read(&path).unwrap();
        // Format, vendor, device, driver, UUID and kernels.
        for at in [8, 12, 16, 20, 24, 39, 40] {
            let mut bytes = good.clone();
            bytes[at] ^= 0x40;
            fs::write(&path, bytes).unwrap();
            let [opening, closing] = open_and_close(device, &path);
            assert!(opening[0].contains("another device, driver or version"), "{opening:?}");
            assert_eq!((closing, fs::read(&path).unwrap()), (vec![], good.clone()));
        }
    }

    #[test]
    fn what_is_no_cache_is_left_as_it_is() {
        let (folder, path) = place();
        let backend = TestBackend::new();
        let device = backend.device();
        let check = |path: &Path, reason: &str| {
            let [opening, closing] = open_and_close(device, path);
            assert!(opening.len() == 1 && opening[0].contains(reason), "{opening:?}");
            assert!(closing.len() == 1 && closing[0].contains("was not written"), "{closing:?}");
        };
        fs::write(&path, "foo.*bar\n").unwrap();
        check(&path, "no pipeline cache of vkscan's");
        assert_eq!(fs::read(&path).unwrap(), b"foo.*bar\n");
        check(&path.join("below"), "Not a directory");
        check(folder.path(), "it is no file");
        #[cfg(unix)]
        check(Path::new("/dev/zero"), "it is no file");
        File::create(&path).unwrap().set_len(MOST_BYTES + 1).unwrap();
        check(&path, "more than 256 MiB");
    }

    #[test]
    fn what_cannot_be_written_is_told_and_keeps_nothing_from_scanning() {
        let (folder, _) = place();
        let path = folder.path().join("no folder/pipelines");
        let (backend, warned) = warnings(|| TestBackend::open(&options(&path)));
        assert_eq!(warned, [""; 0]);
        scan(&backend);
        let error = backend.save_pipeline_cache().unwrap_err();
        assert!(matches!(error, BackendError::PipelineCache { .. }), "{error:?}");
        assert!(error.to_string().contains(&format!("{path:?}: No such file")), "{error}");
        let ((), warned) = warnings(|| drop(backend));
        assert!(warned.len() == 1 && warned[0].contains("was not written"), "{warned:?}");

        let error = TestBackend::new().save_pipeline_cache().unwrap_err();
        assert!(error.to_string().contains("no file was named"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_one() {
        let (folder, path) = place();
        let link = folder.path().join("link");
        fs::write(&path, "").unwrap();
        std::os::unix::fs::symlink("pipelines", &link).unwrap();
        drop(TestBackend::open(&options(&link)));
        assert!(link.is_symlink() && fs::metadata(&path).unwrap().len() > 0);
    }
}
