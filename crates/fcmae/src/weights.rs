//! Weights and what belongs to them: the network they are of, and how its pictures are prepared.
//!
//! Whatever program wrote them, they are read under timm's names and in this project's shapes
//! ([`names`]); what a file does not say is inferred from the shapes.

mod adapt;
mod description;
pub mod export;
mod grn;
pub mod inspection;
pub mod names;
pub mod onnx;
mod shapes;
mod sidecar;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fcmae_data::source::printable;
use fcmae_store::file::Format;
use fcmae_store::run::schema::Facts;
use fcmae_store::{Mismatch, NamedTensors, Record};
use serde_json::Value;

use self::names::{STEM, Scheme};
use crate::config::{MaskConfig, check_image};
use crate::engine::module::Network;
use crate::engine::parameters::{Arena, Layout, Names};
use crate::error::{Error, Result};
use crate::network::autoencoder::{Autoencoder, PROJECTION};
use crate::network::model::{Classifier, Encoder};

pub use description::Description;
pub(crate) use description::{DEEP_VALUES, decimals};
pub(crate) use sidecar::WARPS_FROM;

/// Weights from a file, with their description.
#[derive(Debug)]
pub struct Weights {
    /// Where they were read from.
    pub path: PathBuf,
    /// Under timm's names, in this project's shapes.
    pub tensors: NamedTensors,
    /// What they are of.
    pub description: Description,
    /// The kind of file.
    pub format: Format,
    /// Whose names the file has.
    pub scheme: Scheme,
    /// Anything the user should know, such as a damaged checkpoint that was passed over.
    pub notes: Vec<String>,
    /// The file's name of each of timm's, where the two differ.
    origin: BTreeMap<String, String>,
}

impl Weights {
    /// Reads a run folder, an export or checkpoint folder, or a file of weights, in the names of
    /// timm, the authors, transformers or mmpretrain.
    ///
    /// The description stands beside the weights (`config.json`, of this project, timm or
    /// transformers) or in the run (`run.json`). For a bare file it is inferred from names and
    /// shapes, with the mean and deviation of ImageNet.
    ///
    /// `hf:OWNER/NAME` is fetched from the Hugging Face Hub, or taken from its cache, where the
    /// feature `hub` is there.
    ///
    /// # Errors
    /// Nothing there, a damaged or dangerous file, or tensors that are no ConvNeXt.
    pub fn open(path: &Path) -> Result<Self> {
        let fetched =
            path.to_str().filter(|name| name.starts_with("hf:")).map(fetch).transpose()?;
        let resolved = fcmae_store::weights::resolve(fetched.as_deref().unwrap_or(path))?;
        let contents =
            fcmae_store::file::load(&resolved.model).map_err(|error| match &fetched {
                Some(_) => {
                    let file = printable(&resolved.model);
                    Error::Unusable(format!("{error}; remove {file} to fetch it again"))
                }
                None => error.into(),
            })?;
        let mut notes: Vec<String> = resolved.damaged.iter().map(ToString::to_string).collect();
        notes.extend(contents.notes);
        let file = |reason| Error::File { path: resolved.model.clone(), reason };
        let config = resolved.config.as_deref().map(sidecar::read_json).transpose()?;
        let recorded = match (&config, &resolved.run) {
            (Some(config), _) => config.get("fcmae").cloned(),
            (None, Some(run)) => Record::read(run)?.facts.get(Facts::WEIGHTS).cloned(),
            (None, None) => None,
        };
        let mut tensors = contents.tensors;
        // Only training needs it.
        drop_projection(&mut tensors);
        let named = match (names::rename(tensors), &recorded) {
            (Ok(named), _) => named,
            // What is missing is then told by what the description needs.
            (Err(tensors), Some(_)) => names::rename_from(Scheme::Timm, "", tensors),
            (Err(tensors), None) => return Err(file(no_scheme(&tensors))),
        };
        let mut description = match recorded {
            Some(value) => {
                let mut description: Description = serde_json::from_value(value)
                    .map_err(|error| file(format!("its description cannot be read: {error}")))?;
                description.model = description.model.resolve()?;
                if let (Some(config), Some(path)) = (&config, &resolved.config) {
                    notes.extend(unheeded(config, path, &description));
                }
                description
            }
            None => {
                let mut description = shapes::describe(&named.tensors).map_err(file)?;
                if let (Some(config), Some(path)) = (&config, &resolved.config) {
                    sidecar::read(config, path, &mut description, &mut notes)?;
                }
                description
            }
        };
        notes.extend(description.fit_image());
        check_image(description.image_size, "the image size that it records")
            .map_err(|error| file(error.to_string()))?;
        description.check().map_err(file)?;
        Ok(Self {
            path: resolved.model,
            tensors: named.tensors,
            description,
            format: contents.format,
            scheme: named.scheme,
            notes,
            origin: named.origin,
        })
    }

    /// The classifier with these weights.
    ///
    /// # Errors
    /// Weights without a head (of a pre-training run), or of another network.
    pub fn classifier(&self) -> Result<Network<Classifier>> {
        let classes = self.description.classes.len();
        if classes == 0 {
            return Err(Error::Unusable(format!(
                "{}: these weights have no classification head; fine-tune them first \
                 (fcmae finetune --from …)",
                self.path.display()
            )));
        }
        self.network(|names| Classifier::new(names, &self.description.model, classes))
    }

    /// The autoencoder with these weights.
    ///
    /// # Errors
    /// Weights without a decoder (fine-tuned, or from elsewhere), or of another network.
    pub fn autoencoder(&self) -> Result<(Network<Autoencoder>, MaskConfig)> {
        let Some((decoder, mask)) = &self.description.decoder else {
            return Err(Error::Unusable(format!(
                "{}: these weights have no decoder; give the folder of a pre-training run",
                self.path.display()
            )));
        };
        let network = self.network(|names| {
            let network = Autoencoder::new(names, &self.description.model, decoder);
            network.encoding(mask.encoder)
        })?;
        Ok((network, mask.clone()))
    }

    /// The encoder alone.
    ///
    /// # Errors
    /// Weights that lack a part of the encoder, or are of another network.
    pub(crate) fn encoder(&self) -> Result<Network<Encoder>> {
        self.check_encoder()?;
        let mut network = Network::new(|names| Encoder::new(names, &self.description.model));
        self.fill_encoder(network.weights_mut())?;
        Ok(network)
    }

    /// Refuses a description of another encoder than the tensors are of, for those who make a network
    /// before it is filled: what a file says must not decide alone how much memory is taken.
    ///
    /// # Errors
    /// Weights that lack a part of the encoder, or are of another network.
    pub(crate) fn check_encoder(&self) -> Result<()> {
        let (_, layout) = Layout::of(|names| Encoder::new(names, &self.description.model));
        let mut mismatch = self.tensors.difference(&layout.shapes());
        mismatch.unexpected.retain(|(name, _)| is_encoder(name));
        if mismatch.is_empty() { Ok(()) } else { Err(self.mismatch(mismatch)) }
    }

    /// The encoder's weights put into those of a network that has an encoder; the rest stays. A stem for
    /// another number of channels is adapted.
    ///
    /// # Errors
    /// Weights that lack a part of the encoder, or are of another network.
    pub fn fill_encoder(&self, arena: &mut Arena) -> Result<()> {
        let mut encoder = self.part(is_encoder);
        if let Some(stem) = arena.layout().get(STEM)
            && let channels = stem.shape()[1]
            && channels != self.description.model.channels
            && let Some(stem) = encoder.remove(STEM)
        {
            encoder.insert(STEM, adapt::stem(&stem, channels));
        }
        self.fill_with(arena, &encoder, is_encoder)
    }

    /// The encoder's weights, and the head's norm where the module has one.
    pub(crate) fn fill_backbone(&self, arena: &mut Arena) -> Result<()> {
        self.fill_encoder(arena)?;
        self.fill_part(arena, |name| name.starts_with("head.norm."))
    }

    /// The decoder's weights put into those of an autoencoder, where there are any: all but the last layer where that
    /// predicts another number of channels. Whether the last layer was.
    ///
    /// # Errors
    /// Weights of another decoder.
    pub(crate) fn fill_decoder(&self, arena: &mut Arena, channels: usize) -> Result<bool> {
        let whole = channels == self.description.model.channels;
        let is_part = |name: &str| {
            name.starts_with("decoder.") && (whole || !name.starts_with("decoder.pred."))
        };
        self.fill_part(arena, is_part)?;
        Ok(whole)
    }

    /// Puts the encoder's weights into a classifier for `classes`, and the head's as far as they fit: its
    /// linear layer where it tells the same classes apart. Returns a sentence for the user where the
    /// file has a head that is not used.
    ///
    /// # Errors
    /// Weights that lack a part of the encoder, or are of another network.
    pub fn fill_classifier(
        &self,
        network: &mut Network<Classifier>,
        classes: &[String],
    ) -> Result<Option<String>> {
        let arena = network.weights_mut();
        self.fill_encoder(arena)?;
        if self.tensors.get("head.norm.weight").is_some() {
            self.fill_part(arena, |name| name.starts_with("head.norm."))?;
        }
        let theirs = &self.description.classes;
        if theirs.is_empty() {
            return Ok(None);
        }
        if theirs == classes || (self.description.nameless && theirs.len() == classes.len()) {
            self.fill_part(arena, |name| name.starts_with("head.fc."))?;
            return Ok(None);
        }
        let what = if theirs.len() == classes.len() { "other" } else { &theirs.len().to_string() };
        Ok(Some(format!(
            "a new head for {} classes: the one in {} is for {what} classes",
            classes.len(),
            self.path.display(),
        )))
    }

    /// The tensors whose names `is_part` takes, put into an arena; they must be all that it has of such
    /// names.
    fn fill_part(&self, arena: &mut Arena, is_part: impl Fn(&str) -> bool) -> Result<()> {
        self.fill_with(arena, &self.part(&is_part), is_part)
    }

    fn part(&self, is_part: impl Fn(&str) -> bool) -> NamedTensors {
        let part = self.tensors.iter().filter(|(name, _)| is_part(name));
        part.map(|(name, tensor)| (name.clone(), tensor.clone())).collect()
    }

    /// As [`fill_part`](Self::fill_part), with these tensors as the part.
    fn fill_with(
        &self,
        arena: &mut Arena,
        part: &NamedTensors,
        is_part: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let mut expected = arena.layout().shapes();
        expected.retain(|(name, _)| is_part(name));
        let mismatch = part.difference(&expected);
        if !mismatch.is_empty() {
            return Err(self.mismatch(mismatch));
        }
        self.check_values_of(part)?;
        arena.take(part);
        Ok(())
    }

    /// Refuses weights of which one is not a number, which nothing can be computed with.
    ///
    /// # Errors
    /// [`Error::File`] with the tensor.
    pub fn check_values(&self) -> Result<()> {
        self.check_values_of(&self.tensors)
    }

    fn check_values_of(&self, tensors: &NamedTensors) -> Result<()> {
        let Some((name, values)) = tensors.iter().find_map(|(name, tensor)| {
            let wrong = tensor.data.iter().filter(|value| !value.is_finite()).count();
            (wrong > 0).then_some((name, [wrong, tensor.data.len()]))
        }) else {
            return Ok(());
        };
        let mut name = name.clone();
        self.add_file_name(&mut name);
        let [wrong, all] = values;
        Err(Error::File {
            path: self.path.clone(),
            reason: format!(
                "{wrong} of the {all} values of `{name}` are not finite (NaN or infinite): the training has \
                 diverged, or the file is damaged; use an earlier checkpoint or export"
            ),
        })
    }

    fn network<M>(&self, build: impl FnOnce(&mut Names) -> M) -> Result<Network<M>> {
        self.check_values()?;
        Network::load(build, &self.tensors).map_err(|mismatch| self.mismatch(mismatch))
    }

    /// Adds what the file calls a parameter of timm's name, where that is another.
    fn add_file_name(&self, name: &mut String) {
        let theirs = self.origin.get(name).cloned().or_else(|| self.scheme.from_timm(name));
        if let Some(theirs) = theirs.filter(|theirs| theirs != name) {
            *name = format!("{name} (in the file: {theirs})");
        }
    }

    /// The error that lists every name: timm's, and the file's where it has another.
    fn mismatch(&self, mut mismatch: Mismatch) -> Error {
        let file_name = |name: &mut String| self.add_file_name(name);
        mismatch.missing.iter_mut().for_each(|(name, _)| file_name(name));
        mismatch.unexpected.iter_mut().for_each(|(name, _)| file_name(name));
        mismatch.wrong_shape.iter_mut().for_each(|wrong| file_name(&mut wrong.name));
        let model = &self.description.model;
        Error::Weights {
            path: self.path.clone(),
            model: format!("{} {:?} {:?}", self.description.name(), model.depths, model.widths),
            mismatch: mismatch.to_string(),
        }
    }
}

/// Leaves out what an autoencoder that is taught has beside encoder and decoder.
pub(crate) fn drop_projection(tensors: &mut NamedTensors) {
    for part in ["weight", "bias"] {
        tensors.remove(&format!("{PROJECTION}.{part}"));
    }
}

/// A note on what is said for other programs, where the description is another: somebody wrote it there.
fn unheeded(config: &Value, path: &Path, description: &Description) -> Option<String> {
    let mut theirs = description.clone();
    let read = sidecar::read(config, path, &mut theirs, &mut Vec::new());
    let differs = [
        ("mean", theirs.mean != description.mean),
        ("std", theirs.std != description.std),
        ("names of classes", theirs.classes != description.classes),
        ("mean, std or crop_pct", read.is_err()),
    ];
    let differs: Vec<&str> =
        differs.into_iter().filter_map(|(what, differs)| differs.then_some(what)).collect();
    (!differs.is_empty()).then(|| {
        format!(
            "{}: {} for other programs differ from those in its block `fcmae`, which are the ones used: change them \
             there",
            printable(path),
            differs.join(" and "),
        )
    })
}

/// Whether timm's name is that of a part of the encoder.
fn is_encoder(name: &str) -> bool {
    name.starts_with("stem.") || name.starts_with("stages.")
}

/// The path of weights that are named on the Hub.
#[cfg(feature = "hub")]
fn fetch(name: &str) -> Result<PathBuf> {
    Ok(fcmae_hub::Hub::from_env()?.fetch(name)?)
}

#[cfg(not(feature = "hub"))]
fn fetch(name: &str) -> Result<PathBuf> {
    Err(Error::Unusable(format!(
        "{name}: this program was built without the Hugging Face Hub (the feature `hub`); fetch the \
         files elsewhere and give the path of their folder"
    )))
}

/// Why a file's tensors are no network's that is known.
fn no_scheme(tensors: &NamedTensors) -> String {
    let some: Vec<&str> = tensors.names().take(5).collect();
    format!(
        "no ConvNeXt in the names of timm, the authors, transformers or mmpretrain: there is no stem, \
         such as `stem.0.weight` or `downsample_layers.0.0.weight`; its {} tensors are called {}{}",
        tensors.len(),
        some.join(", "),
        if tensors.len() > some.len() { ", …" } else { "" }
    )
}
