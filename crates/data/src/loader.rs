//! Worker threads decode and augment ahead; batches come in order.
//!
//! What a batch holds follows from (folder, seed, epoch, batch number) alone. The unit of work is
//! one sample, so that all workers share the batch that is needed next. A sample of an 8-bit picture
//! stays 8-bit until its batch is complete, which keeps what is loaded ahead small.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::augment::{Noise, Normalization, Transform};
use crate::cache::Cache;
use crate::decode::{self, Limits};
use crate::error::{DataError, DecodeError};
use crate::input::Samples;
use crate::picture::{Depth, Picture, PixelFormat};
use crate::random;
use crate::sampler::{Order, Sampler};
use crate::source::{PictureSet, Skipped, printable};

/// Settings of a [`Loader`].
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// Pictures a batch.
    pub batch: usize,
    /// Order of the samples.
    pub order: Order,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// Threads that decode and augment; 0 does it in the calling thread, when a batch is asked for.
    pub workers: usize,
    /// Batches to load ahead, at least 1.
    pub prefetch: usize,
    /// Bytes of decoded pictures to keep from epoch to epoch; 0 keeps none.
    pub cache_bytes: usize,
    /// Largest share of the set that may be bad files before loading stops with an error.
    pub max_bad_fraction: f64,
    /// What one picture may cost.
    pub limits: Limits,
    /// Whether pictures are 8-bit, or deep: float32, with as many channels as the normalization has.
    pub depth: Depth,
    /// Whether large JPEG files may be decoded at a half, a quarter or an eighth of their size
    /// ([`decode::decode_reduced`]), as far as no crop has to be enlarged for it. Only in training:
    /// evaluation always sees the whole picture.
    pub reduced_decode: bool,
}

impl LoaderOptions {
    /// For training: shuffled, endless; one worker a core, two batches ahead, 1 GiB of cache, at
    /// most a tenth of the set bad, 8-bit, large photographs reduced.
    pub fn train(batch: usize, seed: u64) -> Self {
        Self {
            batch,
            order: Order::Shuffled,
            seed,
            workers: std::thread::available_parallelism().map_or(1, |cores| cores.get()),
            prefetch: 2,
            cache_bytes: 1 << 30,
            max_bad_fraction: 0.1,
            limits: Limits::default(),
            depth: Depth::Eight,
            reduced_decode: true,
        }
    }

    /// The same, with so many bytes of decoded pictures kept.
    pub fn keeping(self, cache_bytes: usize) -> Self {
        Self { cache_bytes, ..self }
    }

    /// For evaluation: every sample once, in order; no cache, nothing reduced.
    pub fn eval(batch: usize) -> Self {
        Self {
            order: Order::Sequential,
            cache_bytes: 0,
            reduced_decode: false,
            ..Self::train(batch, 0)
        }
    }
}

/// Pictures for one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<I = Vec<f32>> {
    /// What the loader's [`Delivery`] makes of the pictures: by default normalized values,
    /// `[N, height, width, channels]`.
    pub images: I,
    /// Class positions, `[N]`; empty where the folder has no labels.
    pub labels: Vec<u32>,
    /// Positions in the folder's samples, `[N]`.
    pub indices: Vec<u32>,
    /// The epoch, from 0.
    pub epoch: u64,
    /// The batch's number in its epoch, from 0.
    pub number: u64,
    /// Height of the images.
    pub height: usize,
    /// Width of the images.
    pub width: usize,
    /// Channels of the images.
    pub channels: usize,
}

impl<I> Batch<I> {
    /// N, the number of pictures: the batch size, less the bad files (and, in order, what the last
    /// batch of the set lacks). May be 0 when every file of the batch was bad.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether every file of the batch was bad.
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }
}

/// A batch's pictures as they were decoded and augmented, and what is to be done to them yet.
#[derive(Debug)]
pub struct Assembled<'a> {
    /// N pictures of one size and format.
    pub pictures: Vec<Picture>,
    /// Boxes to be erased after normalization, each with the number of its picture, ascending.
    pub erased: Vec<(usize, Noise)>,
    /// How values are normalized.
    pub normalization: &'a Normalization,
}

/// What becomes of a batch's pictures, in the thread that completes it.
pub trait Delivery: Send + Sync + 'static {
    /// What the [`Batch`] then holds.
    type Images: Send;

    /// Makes it.
    ///
    /// # Errors
    /// Pictures that do not fit the normalization.
    fn deliver(&self, batch: Assembled<'_>) -> Result<Self::Images, DataError>;
}

/// Normalized values, `[N, height, width, channels]`, with noise where boxes are erased.
#[derive(Clone, Copy, Debug, Default)]
pub struct Normalized;

impl Delivery for Normalized {
    type Images = Vec<f32>;

    fn deliver(&self, batch: Assembled<'_>) -> Result<Vec<f32>, DataError> {
        let Assembled { pictures, erased, normalization } = batch;
        let values = |picture: &Picture| {
            picture.height() as usize * picture.width() as usize * picture.channels() as usize
        };
        let mut images = Vec::with_capacity(pictures.iter().map(values).sum());
        let mut erased = erased.into_iter().peekable();
        // Each is dropped once it is normalized.
        for (number, picture) in pictures.into_iter().enumerate() {
            let start = images.len();
            normalization.append(&picture, &mut images)?;
            while let Some((_, noise)) = erased.next_if(|(of, _)| *of == number) {
                noise.fill(&mut images[start..], picture.height());
            }
        }
        Ok(images)
    }
}

/// Batches of a folder, or of other [`Samples`], in order: an iterator, endless when shuffled or
/// balanced (on across epochs), one epoch long when sequential. After an error it ends.
///
/// A file that cannot be used is left out of its batch and listed by [`skipped`](Self::skipped).
/// Dropping the loader stops its threads, after the picture each is at.
pub struct Loader<S: Samples = PictureSet, D: Delivery = Normalized> {
    shared: Arc<Shared<S, D>>,
    threads: Vec<JoinHandle<()>>,
    workers: usize,
    spawn: Spawn,
    batches_per_epoch: u64,
    /// Why each file was left out, and whether another setting would make it usable.
    skipped: BTreeMap<u32, (String, bool)>,
    /// Those of them that [`take_skipped`](Self::take_skipped) has not given yet.
    fresh: BTreeSet<u32>,
    failed: Vec<(u32, DecodeError)>,
    max_bad_fraction: f64,
    ended: bool,
}

impl<S: Samples> Loader<S> {
    /// A loader at the first batch of epoch 0. Threads start when the first batch is asked for.
    ///
    /// # Errors
    /// Settings out of range, or that do not fit the pictures' depth and channels; shuffled, a batch
    /// larger than the set.
    pub fn new(
        folder: Arc<S>,
        transform: Transform,
        normalization: Normalization,
        options: &LoaderOptions,
    ) -> Result<Self, DataError> {
        Self::delivering(folder, transform, normalization, options, Normalized)
    }
}

impl<S: Samples, D: Delivery> Loader<S, D> {
    /// As [`new`](Loader::new), with batches of what `delivery` makes of pictures.
    ///
    /// # Errors
    /// As there.
    pub fn delivering(
        folder: Arc<S>,
        transform: Transform,
        normalization: Normalization,
        options: &LoaderOptions,
        delivery: D,
    ) -> Result<Self, DataError> {
        transform.check()?;
        let format = PixelFormat { channels: normalization.channels()?, depth: options.depth };
        format.check()?;
        transform.check_format(format)?;
        if !(0.0..=1.0).contains(&options.max_bad_fraction) {
            return Err(DataError::Parameter {
                what: "allowed share of bad files",
                value: options.max_bad_fraction.to_string(),
                remedy: "use 0 to 1, such as 0.1".to_owned(),
            });
        }
        let labels: Vec<_> = (0..folder.count()).map(|index| folder.label(index)).collect();
        let sampler = Sampler::new(&labels, options.batch, options.order, options.seed)?;
        Ok(Self {
            batches_per_epoch: sampler.batches_per_epoch(),
            threads: Vec::new(),
            workers: options.workers,
            spawn,
            skipped: BTreeMap::new(),
            fresh: BTreeSet::new(),
            failed: Vec::new(),
            max_bad_fraction: options.max_bad_fraction,
            ended: false,
            shared: Arc::new(Shared {
                cache: Cache::new(options.cache_bytes, folder.count()),
                folder,
                least_side: transform.least_side().filter(|_| options.reduced_decode),
                transform,
                normalization,
                delivery,
                format,
                seed: options.seed,
                limits: options.limits,
                prefetch: options.prefetch.max(1),
                queue: Mutex::new(Queue::new(sampler, options.order)),
                work: Condvar::new(),
                ready: Condvar::new(),
            }),
        })
    }

    /// Batches an epoch: ⌊set / batch⌋ when shuffled, rounded up in order.
    pub fn batches_per_epoch(&self) -> u64 {
        self.batches_per_epoch
    }

    /// The samples that [`Batch::indices`] point to.
    pub fn folder(&self) -> &Arc<S> {
        &self.shared.folder
    }

    /// Goes to a batch: the next one delivered is `number` of `epoch`, as if all before it had
    /// been asked for. Also starts an ended evaluation again. A number of
    /// [`batches_per_epoch`](Self::batches_per_epoch) or more counts on into later epochs when
    /// shuffled.
    pub fn seek(&mut self, epoch: u64, number: u64) {
        let mut queue = self.shared.lock();
        let per_epoch = self.batches_per_epoch.max(1);
        queue.next = match queue.order {
            Order::Shuffled | Order::Balanced => (epoch + number / per_epoch, number % per_epoch),
            Order::Sequential => (epoch, number),
        };
        // Work under way belongs to a batch whose ticket nobody waits for any more.
        queue.pending.clear();
        self.ended = false;
    }

    /// Files left out of the batches delivered so far, each once, in the folder's order. Entries
    /// that never became samples are in [`PictureSet::skipped`].
    pub fn skipped(&self) -> Vec<Skipped> {
        self.skipped.keys().filter_map(|&index| self.left_out(index)).collect()
    }

    /// Those of them that were not given before.
    pub fn take_skipped(&mut self) -> Vec<Skipped> {
        let fresh = std::mem::take(&mut self.fresh);
        fresh.into_iter().filter_map(|index| self.left_out(index)).collect()
    }

    fn left_out(&self, index: u32) -> Option<Skipped> {
        let (reason, _) = self.skipped.get(&index)?.clone();
        Some(Skipped { path: self.shared.folder.name(index as usize), reason })
    }

    /// Takes the files left out of the batch delivered last, in the order of the samples.
    pub fn take_failed(&mut self) -> Vec<(u32, DecodeError)> {
        std::mem::take(&mut self.failed)
    }

    fn next_batch(&mut self) -> Result<Option<Batch<D::Images>>, DataError> {
        self.start();
        let done = if self.workers == 0 { self.shared.load_here()? } else { self.wait()? };
        let Some(Loaded { batch, bad }) = done else { return Ok(None) };
        if let Some((index, _)) = bad.iter().find(|(_, error)| error.is_out_of_files()) {
            return Err(DataError::OpenFiles(self.shared.folder.name(*index as usize)));
        }
        // Counted as batches are delivered, not as threads meet them: the error comes at the same
        // batch for any number of workers.
        for (index, reason) in &bad {
            let why = (reason.to_string(), reason.is_of_settings());
            if self.skipped.insert(*index, why).is_none() {
                self.fresh.insert(*index);
            }
        }
        self.failed = bad;
        let (bad, set) = (self.skipped.len(), self.shared.folder.count());
        // Beside the pictures of this part of the set that were lost when it was listed, as far as that can be told.
        let lost = self.shared.folder.lost_share();
        let beside = lost / (1.0 - lost).max(f64::MIN_POSITIVE) * set as f64;
        let most = self.max_bad_fraction * (set as f64 + beside);
        // Shares are rounded.
        if bad > 0 && bad as f64 + beside > most + 1e-9 {
            const SHOWN: usize = 5;
            let shown = self.skipped.keys().filter_map(|&index| self.left_out(index)).take(SHOWN);
            let mut first: Vec<String> =
                shown.map(|skip| format!("{} ({})", printable(&skip.path), skip.reason)).collect();
            if bad > SHOWN {
                first.push("…".to_owned());
            }
            let (limit, first) = (self.max_bad_fraction, first.join(", "));
            let by_settings =
                self.skipped.values().take(SHOWN).any(|(_, by_settings)| *by_settings);
            return Err(DataError::TooManyBad { bad, set, lost, limit, first, by_settings });
        }
        Ok(Some(batch))
    }

    /// Waits for the threads to complete the next batch.
    fn wait(&mut self) -> Result<Option<Loaded<D::Images>>, DataError> {
        let mut queue = self.shared.lock();
        loop {
            if let Some(reason) = &queue.failed {
                return Err(DataError::Worker(reason.clone()));
            }
            queue.plan(self.shared.prefetch);
            self.shared.work.notify_all();
            let Some(first) = queue.pending.front_mut() else { return Ok(None) };
            if let Some(loaded) = first.loaded.take() {
                queue.pending.pop_front();
                queue.plan(self.shared.prefetch);
                self.shared.work.notify_all();
                return loaded.map(Some);
            }
            queue = self.shared.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Starts the threads that are wanted; fewer where the system gives no more, and none at all where it gives
    /// none: batches are the same by any number.
    fn start(&mut self) {
        while self.threads.len() < self.workers {
            let shared = Arc::clone(&self.shared);
            let name = format!("fcmae-data-{}", self.threads.len());
            match (self.spawn)(name, Box::new(move || shared.run())) {
                Ok(thread) => self.threads.push(thread),
                Err(_) => self.workers = self.threads.len(),
            }
        }
    }
}

/// How a thread is started; tests have a system that gives few.
type Spawn = fn(String, Box<dyn FnOnce() + Send>) -> std::io::Result<JoinHandle<()>>;

fn spawn(name: String, run: Box<dyn FnOnce() + Send>) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name).spawn(run)
}

impl<S: Samples, D: Delivery> Iterator for Loader<S, D> {
    type Item = Result<Batch<D::Images>, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_batch().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

impl<S: Samples, D: Delivery> Drop for Loader<S, D> {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to stop.
            let _ = thread.join();
        }
    }
}

impl<S: Samples, D: Delivery> std::fmt::Debug for Loader<S, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader")
            .field("set", &self.shared.folder.count())
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

/// What the threads and the loader share.
struct Shared<S, D: Delivery> {
    folder: Arc<S>,
    transform: Transform,
    normalization: Normalization,
    delivery: D,
    format: PixelFormat,
    /// Short side down to which pictures may be reduced.
    least_side: Option<u32>,
    seed: u64,
    limits: Limits,
    prefetch: usize,
    cache: Cache,
    queue: Mutex<Queue<D::Images>>,
    /// There may be something to do, or to stop for.
    work: Condvar,
    /// A batch may be complete.
    ready: Condvar,
}

/// The batches under way, in the order of delivery.
struct Queue<I> {
    sampler: Sampler,
    order: Order,
    /// (epoch, number) of the next batch to begin.
    next: (u64, u64),
    pending: VecDeque<Pending<I>>,
    /// Counts batches begun, so that a late result finds its own.
    tickets: u64,
    stop: bool,
    failed: Option<String>,
}

/// A batch under way.
struct Pending<I> {
    ticket: u64,
    place: (u64, u64),
    indices: Vec<u32>,
    /// What each sample is augmented by.
    draws: Vec<u64>,
    /// Samples handed out.
    begun: usize,
    /// Samples that came back.
    done: usize,
    results: Vec<Option<Result<Picture, DecodeError>>>,
    loaded: Option<Result<Loaded<I>, DataError>>,
}

/// A complete batch, and the positions and reasons of the files left out of it.
struct Loaded<I> {
    batch: Batch<I>,
    bad: Vec<(u32, DecodeError)>,
}

/// One sample to load.
#[derive(Clone, Copy)]
struct Task {
    ticket: u64,
    slot: usize,
    epoch: u64,
    index: u32,
    draw: u64,
}

impl<I> Queue<I> {
    fn new(sampler: Sampler, order: Order) -> Self {
        Self {
            sampler,
            order,
            next: (0, 0),
            pending: VecDeque::new(),
            tickets: 0,
            stop: false,
            failed: None,
        }
    }

    /// Begins batches until `ahead` are under way or the set ends.
    fn plan(&mut self, ahead: usize) {
        while self.pending.len() < ahead {
            let place = self.next;
            let indices = self.sampler.batch(place.0, place.1);
            if indices.is_empty() {
                return;
            }
            self.next = (place.0, place.1 + 1);
            if self.order != Order::Sequential && self.next.1 >= self.sampler.batches_per_epoch() {
                self.next = (place.0 + 1, 0);
            }
            self.tickets += 1;
            self.pending.push_back(Pending {
                ticket: self.tickets,
                place,
                begun: 0,
                done: 0,
                results: indices.iter().map(|_| None).collect(),
                draws: self.sampler.draws(place.1, &indices),
                indices,
                loaded: None,
            });
        }
    }

    /// The next sample to load: of the first batch that has any left.
    fn take(&mut self) -> Option<Task> {
        let batch = self.pending.iter_mut().find(|batch| batch.begun < batch.indices.len())?;
        let slot = batch.begun;
        batch.begun += 1;
        let (index, draw) = (batch.indices[slot], batch.draws[slot]);
        Some(Task { ticket: batch.ticket, slot, epoch: batch.place.0, index, draw })
    }

    fn find(&mut self, ticket: u64) -> Option<&mut Pending<I>> {
        self.pending.iter_mut().find(|batch| batch.ticket == ticket)
    }
}

impl<S: Samples, D: Delivery> Shared<S, D> {
    fn lock(&self) -> MutexGuard<'_, Queue<D::Images>> {
        // No code that holds this lock leaves the queue half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of one worker thread.
    fn run(&self) {
        // A panic of our own code must end the loader with an error, not leave it waiting.
        let _fall = Fall(self);
        let mut queue = self.lock();
        loop {
            if queue.stop {
                return;
            }
            let Some(task) = queue.take() else {
                queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(queue);
            let result = self.load(task);
            queue = self.lock();
            let Some(batch) = queue.find(task.ticket) else { continue };
            batch.results[task.slot] = Some(result);
            batch.done += 1;
            if batch.done == batch.indices.len() {
                let place = batch.place;
                let (indices, draws) = (batch.indices.clone(), batch.draws.clone());
                let results = std::mem::take(&mut batch.results);
                drop(queue);
                let loaded = self.assemble(place, &indices, &draws, results);
                queue = self.lock();
                if let Some(batch) = queue.find(task.ticket) {
                    batch.loaded = Some(loaded);
                    self.ready.notify_all();
                }
            }
        }
    }

    /// The next batch, loaded in the calling thread.
    fn load_here(&self) -> Result<Option<Loaded<D::Images>>, DataError> {
        let begun = {
            let mut queue = self.lock();
            queue.plan(1);
            queue.pending.pop_front()
        };
        let Some(Pending { place, indices, draws, .. }) = begun else { return Ok(None) };
        let task = |(slot, &index): (usize, &u32)| Task {
            ticket: 0,
            slot,
            epoch: place.0,
            index,
            draw: draws[slot],
        };
        let results = indices.iter().enumerate().map(|i| Some(self.load(task(i)))).collect();
        self.assemble(place, &indices, &draws, results).map(Some)
    }

    /// One sample: decoded, or from the cache, and augmented.
    fn load(&self, task: Task) -> Result<Picture, DecodeError> {
        decode::caught(|| {
            let index = task.index as usize;
            let picture = match self.cache.get(task.index) {
                Some(picture) => {
                    // Whether a file that is gone is skipped must not depend on the cache.
                    self.folder.check_unchanged(index)?;
                    picture
                }
                None => {
                    let picture =
                        self.folder.picture(index, self.format, &self.limits, self.least_side)?;
                    self.cache.put(task.index, &picture);
                    picture
                }
            };
            let rng = &mut random::keyed(self.seed, "augment", task.epoch, task.draw);
            self.transform
                .apply(&picture, rng)
                .map_err(|error| DecodeError::Unsupported(error.to_string()))
        })
    }

    /// Puts the samples of a batch together, without the bad ones.
    fn assemble(
        &self,
        (epoch, number): (u64, u64),
        indices: &[u32],
        draws: &[u64],
        results: Vec<Option<Result<Picture, DecodeError>>>,
    ) -> Result<Loaded<D::Images>, DataError> {
        let (height, width) = self.transform.size();
        let channels = self.format.channels;
        let (mut pictures, mut erased) = (Vec::with_capacity(indices.len()), Vec::new());
        let (mut labels, mut good, mut bad) = (Vec::new(), Vec::new(), Vec::new());
        let samples = indices.iter().zip(draws).zip(results.into_iter().flatten());
        for ((&index, &draw), result) in samples {
            match result {
                Ok(picture) => {
                    if let Some(erasing) = self.transform.erasing() {
                        let rng = &mut random::keyed(self.seed, "erase", epoch, draw);
                        let noise = erasing.noise([height, width, channels], rng)?;
                        erased.extend(noise.map(|noise| (pictures.len(), noise)));
                    }
                    pictures.push(picture);
                    good.push(index);
                    labels.extend(self.folder.label(index as usize).map(|label| label as u32));
                }
                Err(reason) => bad.push((index, reason)),
            }
        }
        let assembled = Assembled { pictures, erased, normalization: &self.normalization };
        let batch = Batch {
            images: self.delivery.deliver(assembled)?,
            labels,
            indices: good,
            epoch,
            number,
            height: height as usize,
            width: width as usize,
            channels: channels as usize,
        };
        Ok(Loaded { batch, bad })
    }
}

/// Tells the loader when its thread ends by a panic.
struct Fall<'a, S: Samples, D: Delivery>(&'a Shared<S, D>);

impl<S: Samples, D: Delivery> Drop for Fall<'_, S, D> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().failed = Some("it panicked; please report it".to_owned());
            self.0.ready.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::cell::Cell;

    use super::*;
    use crate::augment::EvalTransform;
    use crate::input::{Input, Inputs};

    thread_local! {
        /// Threads that the system still gives.
        static LEFT: Cell<usize> = const { Cell::new(0) };
    }

    fn scarce(name: String, run: Box<dyn FnOnce() + Send>) -> std::io::Result<JoinHandle<()>> {
        match LEFT.replace(LEFT.get().saturating_sub(1)) {
            0 => Err(std::io::Error::from(std::io::ErrorKind::WouldBlock)),
            _ => spawn(name, run),
        }
    }

    #[test]
    fn where_threads_are_few_batches_are_loaded_by_fewer_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let inputs: Vec<Input> = (0..6u8)
            .map(|tone| {
                let path = folder.path().join(format!("{tone}.png"));
                let pixel = image::Rgb([40 * tone, 10, 200]);
                image::RgbImage::from_pixel(8, 8, pixel).save(&path).unwrap();
                Input::from(path)
            })
            .collect();
        let inputs = Arc::new(Inputs::from(inputs));
        let batches = |workers, left| {
            LEFT.set(left);
            let transform = Transform::Eval(EvalTransform::new(8, 8));
            let options = LoaderOptions { workers, ..LoaderOptions::eval(2) };
            let normalization = Normalization::imagenet(3).unwrap();
            let mut loader =
                Loader::new(Arc::clone(&inputs), transform, normalization, &options).unwrap();
            loader.spawn = scarce;
            let batches: Vec<_> = loader.by_ref().map(Result::unwrap).collect();
            (loader.threads.len(), batches)
        };
        let (_, here) = batches(0, 0);
        assert_eq!(here.len(), 3);
        for left in [0, 1, 3, 9] {
            let (threads, found) = batches(4, left);
            assert_eq!(threads, left.min(4));
            assert_eq!(found, here, "with {left} threads");
        }
    }
}
