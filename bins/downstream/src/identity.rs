//! The id of a site that was given none.

use std::io::ErrorKind;
use std::path::Path;

use sluicegate_launch::Failure;

/// Reads the id from the state folder; makes one and keeps it if there is none.
pub(crate) fn site_id(folder: &Path) -> Result<String, Failure> {
    let path = folder.join("site-id");
    let failed = |error: std::io::Error| Failure::work(format!("the site's id in {}", path.display()), error);
    match std::fs::read_to_string(&path) {
        Ok(id) => return Ok(id.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let id = uuid::Uuid::new_v4().to_string();
    std::fs::create_dir_all(folder).map_err(failed)?;
    // Written beside and renamed, so that a crash leaves no empty id.
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, &id).and_then(|()| std::fs::rename(&fresh, &path)).map_err(failed)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let id = site_id(folder.path()).unwrap();
        assert_eq!((id.len(), site_id(folder.path()).unwrap()), (36, id));
    }
}
