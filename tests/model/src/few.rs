//! A short list of fixed capacity that is copied with its state: no allocation in millions of states.

/// At most `N` items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Few<T, const N: usize> {
    items: [T; N],
    len: u8,
}

impl<T: Copy + Default, const N: usize> Default for Few<T, N> {
    fn default() -> Self {
        Self { items: [T::default(); N], len: 0 }
    }
}

impl<T: Copy + Default, const N: usize> Few<T, N> {
    /// Whether one more would not fit.
    pub fn is_full(&self) -> bool {
        usize::from(self.len) == N
    }

    /// Adds one at the end. Whoever adds has asked [`Few::is_full`]: a step that does not fit is not offered.
    pub fn push(&mut self, item: T) {
        self.items[usize::from(self.len)] = item;
        self.len += 1;
    }

    /// Takes one out; the rest keep their order.
    pub fn remove(&mut self, at: usize) -> T {
        let taken = self.items[at];
        let len = usize::from(self.len);
        self.items.copy_within(at + 1..len, at);
        self.items[len - 1] = T::default();
        self.len -= 1;
        taken
    }

    /// Keeps those that `keep` says, in order.
    pub fn retain(&mut self, mut keep: impl FnMut(usize, &T) -> bool) {
        let mut kept = Self::default();
        for (at, item) in self.iter().enumerate() {
            if keep(at, item) {
                kept.push(*item);
            }
        }
        *self = kept;
    }

    /// None left.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

impl<T, const N: usize> core::ops::Deref for Few<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items[..usize::from(self.len)]
    }
}

impl<T, const N: usize> core::ops::DerefMut for Few<T, N> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.items[..usize::from(self.len)]
    }
}
