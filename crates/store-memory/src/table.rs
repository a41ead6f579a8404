//! A table whose copies share what they do not change, so that a transaction's own view costs little.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Rows by key.
#[derive(Debug)]
pub(crate) struct Table<K, V>(Arc<BTreeMap<K, Arc<V>>>);

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Ord + Clone, V: Clone> Table<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key).map(|row| &**row)
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if !self.contains(key) {
            return None;
        }
        Arc::make_mut(&mut self.0).get_mut(key).map(Arc::make_mut)
    }

    /// Writes a row, new or instead of the old one.
    pub(crate) fn set(&mut self, key: K, row: V) {
        Arc::make_mut(&mut self.0).insert(key, Arc::new(row));
    }

    pub(crate) fn remove(&mut self, key: &K) -> bool {
        self.contains(key) && Arc::make_mut(&mut self.0).remove(key).is_some()
    }

    /// Keeps the rows that pass; returns how many went.
    pub(crate) fn retain(&mut self, keep: impl Fn(&K, &V) -> bool) -> usize {
        let gone: Vec<K> = self
            .iter()
            .filter(|(key, row)| !keep(key, row))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &gone {
            self.remove(key);
        }
        gone.len()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, row)| (key, &**row))
    }

    pub(crate) fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.0.values().map(|row| &**row)
    }

    pub(crate) fn range(
        &self,
        range: impl std::ops::RangeBounds<K>,
    ) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.range(range).map(|(key, row)| (key, &**row))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Rows that are not those of `before`: new or changed.
    pub(crate) fn changed_since<'a>(
        &'a self,
        before: &'a Self,
    ) -> impl Iterator<Item = (&'a K, Option<&'a V>, &'a V)> {
        let same = Arc::ptr_eq(&self.0, &before.0);
        self.0
            .iter()
            .filter(move |_| !same)
            .filter_map(|(key, row)| {
                let old = before.0.get(key);
                let kept = old.is_some_and(|old| Arc::ptr_eq(old, row));
                (!kept).then(|| (key, old.map(|old| &**old), &**row))
            })
    }
}
