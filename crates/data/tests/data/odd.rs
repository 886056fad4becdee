//! Pictures that are left out, filled or read in another way than plain: with the right values, and
//! with a remark or a reason that says so.

use std::path::PathBuf;

use fcmae_data::statistics::Statistics;
use fcmae_data::{
    Axes, DecodeError, Depth, Fill, Labels, Limits, Picture, PictureSet, PixelFormat, Remark,
    decode,
};
use serde_json::Value;

use crate::deep::deep;
use crate::pictures::{encode, write};

/// A tag of a TIFF file: its numbers, or its text.
pub(crate) enum Field {
    Short(Vec<u16>),
    Long(Vec<u32>),
    Double(Vec<f64>),
    Text(String),
}

pub(crate) use Field::{Double, Long, Short, Text};

/// A page: its size, bits and samples, photometric interpretation, further tags, and data.
pub(crate) struct Page {
    size: [u32; 2],
    bits: u16,
    samples: u16,
    colors: u16,
    tags: Vec<(u16, Field)>,
    data: Vec<u8>,
}

pub(crate) const GREY: u16 = 1;
pub(crate) const RGB: u16 = 2;
/// How large a pixel is on the earth.
const GEO: u16 = 33_550;
pub(crate) const NODATA: u16 = 42_113;
const DESCRIPTION: u16 = 270;
pub(crate) const EXTRA: u16 = 338;
pub(crate) const FORMAT: u16 = 339;

impl Page {
    pub(crate) fn new(
        [width, height]: [u32; 2],
        bits: u16,
        samples: u16,
        colors: u16,
        data: Vec<u8>,
    ) -> Self {
        Self { size: [width, height], bits, samples, colors, tags: Vec::new(), data }
    }

    pub(crate) fn with(mut self, tag: u16, field: Field) -> Self {
        self.tags.push((tag, field));
        self
    }
}

/// A little-endian TIFF file of one strip a page.
pub(crate) fn tiff(pages: Vec<Page>) -> Vec<u8> {
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    let count = pages.len();
    for (number, page) in pages.into_iter().enumerate() {
        let [width, height] = page.size;
        let mut tags = page.tags;
        tags.extend([
            (256, Long(vec![width])),
            (257, Long(vec![height])),
            (258, Short(vec![page.bits; page.samples.into()])),
            (262, Short(vec![page.colors])),
            (273, Long(vec![0])),
            (277, Short(vec![page.samples])),
            (278, Long(vec![height])),
            (279, Long(vec![page.data.len() as u32])),
        ]);
        tags.sort_by_key(|(tag, _)| *tag);
        let behind = bytes.len() + 2 + 12 * tags.len() + 4;
        let fields: Vec<(u16, u16, usize, Vec<u8>)> = tags
            .into_iter()
            .map(|(tag, field)| match field {
                Short(v) => (tag, 3, v.len(), v.iter().flat_map(|n| n.to_le_bytes()).collect()),
                Long(v) => (tag, 4, v.len(), v.iter().flat_map(|n| n.to_le_bytes()).collect()),
                Double(v) => (tag, 12, v.len(), v.iter().flat_map(|n| n.to_le_bytes()).collect()),
                Text(text) => (tag, 2, text.len() + 1, [text.as_bytes(), b"\0"].concat()),
            })
            .collect();
        let long: usize = fields.iter().map(|(.., v)| if v.len() > 4 { v.len() } else { 0 }).sum();
        let data_at = behind + long;
        let mut values = Vec::new();
        bytes.extend((fields.len() as u16).to_le_bytes());
        for (tag, kind, count, mut value) in fields {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend((count as u32).to_le_bytes());
            if tag == 273 {
                value = (data_at as u32).to_le_bytes().to_vec();
            }
            if value.len() > 4 {
                bytes.extend(((behind + values.len()) as u32).to_le_bytes());
                values.extend(value);
            } else {
                value.resize(4, 0);
                bytes.extend(value);
            }
        }
        let next = if number + 1 < count { data_at + page.data.len() } else { 0 };
        bytes.extend((next as u32).to_le_bytes());
        bytes.extend(values);
        bytes.extend(page.data);
    }
    bytes
}

fn shorts(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn eight(bytes: &[u8], channels: u32) -> Result<Picture, DecodeError> {
    decode::decode(bytes, channels, &Limits::default())
}

fn deeply(bytes: &[u8], channels: u32) -> Result<Picture, DecodeError> {
    decode::decode(bytes, deep(channels), &Limits::default())
}

/// One page as a file.
pub(crate) fn one(page: Page) -> Vec<u8> {
    tiff(vec![page])
}

#[test]
fn odd_pictures_have_pillow_s_values() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/odd"));
    let index: Value =
        serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    let files = index.as_object().unwrap();
    assert_eq!(files.len(), 8);
    for (name, means) in files {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let picture = eight(&bytes, 3).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (channel, expected) in means.as_array().unwrap().iter().enumerate() {
            let values = picture.pixels().iter().skip(channel).step_by(3);
            let count = picture.pixels().len() / 3;
            let mean = values.map(|&v| f64::from(v)).sum::<f64>() / count as f64 / 255.0;
            let expected = expected.as_f64().unwrap();
            assert!((mean - expected).abs() < 1e-5, "{name}: {mean} {expected}");
        }
        let damaged = picture.remarks().iter().any(|remark| remark.kind() == "damaged");
        assert_eq!(damaged, name == "lost_restart.jpg", "{name}: {:?}", picture.remarks());
        assert!(damaged || picture.remarks().is_empty(), "{name}");
        assert!(deeply(&bytes, 3).is_ok(), "{name}");
    }
    let read = |name: &str| eight(&std::fs::read(folder.join(name)).unwrap(), 3).unwrap();
    assert!(read("junk.jpg") == read("clean.jpg"));
}

/// What libjpeg warns of as "extraneous bytes before marker", and Pillow reads: told where pictures are looked at.
#[test]
fn holes_and_additions_in_the_data_of_a_jpeg_are_told() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/odd"));
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let told = |bytes: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("a.jpg"), bytes);
        let set = PictureSet::open(dir.path(), Labels::Ignored).unwrap();
        let found = Statistics::of(&set, 3, None, 0, &Limits::default()).unwrap();
        assert_eq!(found.pictures, 1, "{:?}", found.skipped);
        let damaged = found.remarks.iter().filter(|remark| remark.kind == "damaged");
        damaged.map(|remark| remark.text.clone()).collect::<Vec<_>>()
    };
    let clean = read("clean.jpg");
    let before_end = |added: &[u8]| {
        let (data, end) = clean.split_at(clean.len() - 2);
        [data, added, end].concat()
    };
    let restart = clean.windows(2).rposition(|pair| pair == [0xFF, 0xD1]).unwrap();
    let twice = [&clean[..restart], &[1, 2, 3, 4, 5, 6], &clean[restart..]].concat();
    for (what, bytes) in
        [("hole", read("hole.jpg")), ("end", before_end(&[9; 20])), ("restart", twice)]
    {
        let texts = told(&bytes);
        let left = |text: &String| {
            let words = ["bytes of data are left over after", "codes are wrong at block"];
            words.iter().any(|words| text.contains(words))
        };
        assert!(texts.len() == 1 && texts.iter().all(left), "{what}: {texts:?}");
    }
    let sound = ["../jpeg", ".."].map(|of| folder.join(of));
    let mut files: Vec<Vec<u8>> = vec![clean.clone(), before_end(&[0]), before_end(&[0xFF; 9])];
    for file in sound.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|end| end == "jpg") {
            files.push(std::fs::read(path).unwrap());
        }
    }
    files.extend(
        [(1, 1), (8, 8), (9, 17), (64, 64), (131, 77)].map(|(w, h)| crate::pictures::jpeg(w, h)),
    );
    assert!(files.len() > 12);
    for bytes in files {
        assert_eq!(told(&bytes), [""; 0]);
    }
}

/// As Pillow's `convert("RGB")` has them.
#[test]
fn the_fourth_band_of_a_raster_is_no_transparency() {
    let data = vec![60, 90, 70, 5, 61, 91, 71, 200];
    let raster = || Page::new([2, 1], 8, 4, RGB, data.clone()).with(EXTRA, Short(vec![2]));
    let bytes = one(raster().with(GEO, Double(vec![10.0, 10.0, 0.0])));
    let bands = [Remark::Bands { used: 3, of: 4 }];
    let picture = eight(&bytes, 3).unwrap();
    assert_eq!(picture.pixels(), [60, 90, 70, 61, 91, 71]);
    assert_eq!(picture.remarks(), bands);
    let picture = deeply(&bytes, 3).unwrap();
    assert_eq!(picture.deep_values()[..3], [60.0 / 255.0, 90.0 / 255.0, 70.0 / 255.0]);
    assert_eq!(picture.remarks(), bands);
    let picture = deeply(&bytes, 4).unwrap();
    assert_eq!((picture.deep_values()[3], picture.remarks()), (5.0 / 255.0, &[][..]));
    // The same without a place on the earth is a picture with transparency, on white.
    assert_eq!(eight(&one(raster()), 3).unwrap().pixels()[..3], [251, 252, 251]);
    // Said to be of no kind, it is none, wherever it lies.
    let unknown = Page::new([2, 1], 8, 4, RGB, data).with(EXTRA, Short(vec![0]));
    assert_eq!(eight(&one(unknown), 3).unwrap().remarks(), bands);
}

#[test]
fn bands_planes_and_sixteen_bits_lose_what_is_no_color() {
    let planes = shorts(&[100 * 257, 200 * 257, 50 * 257, 1, 2]);
    let page = Page::new([1, 1], 16, 5, RGB, planes).with(EXTRA, Short(vec![0, 0]));
    let picture = eight(&one(page), 3).unwrap();
    assert_eq!(picture.pixels(), [100, 200, 50]);
    assert_eq!(picture.remarks(), [Remark::Bands { used: 3, of: 5 }]);
    let four = Page::new([1, 1], 8, 4, GREY, vec![1, 2, 3, 4]).with(EXTRA, Short(vec![0, 0, 0]));
    let error = eight(&one(four), 3).unwrap_err().to_string();
    for says in ["set model.channels to 4", "start.channels", ", with data.depth=deep"] {
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn three_bands_without_a_name_and_grey_with_transparency_are_read() {
    let values = [200u16, 100, 50].map(|value| value * 257);
    let page = || Page::new([1, 1], 16, 3, GREY, shorts(&values)).with(EXTRA, Short(vec![0, 0]));
    assert_eq!(eight(&one(page()), 3).unwrap().pixels(), [200, 100, 50]);
    assert!(matches!(
        eight(&one(page()), 1),
        Err(DecodeError::Channels { found: 3, wanted: 1, .. })
    ));
    let page = Page::new([2, 1], 8, 2, GREY, vec![9, 255, 9, 0]).with(EXTRA, Short(vec![2]));
    let picture = eight(&one(page), 1).unwrap();
    assert_eq!((picture.pixels(), picture.remarks()), (&[9, 255][..], &[][..]));
}

/// Pillow: `RGBa` to `RGBA`, and that on white.
#[test]
fn colors_that_were_multiplied_by_their_transparency_are_on_white() {
    let page = |kind: u16, data: Vec<u8>| {
        one(Page::new([2, 1], 8, 4, RGB, data).with(EXTRA, Short(vec![kind])))
    };
    let near = |bytes: &[u8], expected: [u8; 6]| {
        let picture = eight(bytes, 3).unwrap();
        let all = picture.pixels().iter().zip(expected).all(|(&a, b)| a.abs_diff(b) <= 1);
        assert!(all, "{:?} {expected:?}", picture.pixels());
        let deep = deeply(bytes, 3).unwrap();
        let near = |(&a, b): (&f32, u8)| (255.0 * a - f32::from(b)).abs() <= 1.0;
        assert!(deep.deep_values().iter().zip(expected).all(near), "{:?}", deep.deep_values());
    };
    let data = vec![100, 50, 25, 128, 0, 0, 0, 0];
    near(&page(1, data.clone()), [227, 177, 152, 255, 255, 255]);
    near(&page(2, data.clone()), [177, 152, 140, 255, 255, 255]);
    // All four as they are, as rasterio has them.
    let four = deeply(&page(1, data), 4).unwrap();
    assert_eq!(four.deep_values()[0], 100.0 / 255.0);
}

#[test]
fn palettes_are_looked_up() {
    // Two colours of 16 bits, and four of 4 bits a number.
    let map = |colors: &[[u16; 3]], length: usize| {
        let part =
            |part: usize| (0..length).map(move |i| colors.get(i).map_or(0, |color| color[part]));
        Short((0..3).flat_map(part).collect())
    };
    let colors = [[0xFFFF, 0, 0x8000], [0x1234, 0x5678, 0x9ABC]];
    let page = Page::new([3, 1], 1, 1, 3, vec![0b0100_0000]).with(320, map(&colors, 2));
    let expected = [255, 0, 128, 0x12, 0x56, 0x9A, 255, 0, 128];
    assert_eq!(eight(&one(page), 3).unwrap().pixels(), expected);
    let page = Page::new([3, 1], 4, 1, 3, vec![0x01, 0x00]).with(320, map(&colors, 16));
    assert_eq!(eight(&one(page), 3).unwrap().pixels(), expected);
    let page = Page::new([3, 1], 4, 1, 3, vec![0x01, 0x00]).with(320, map(&colors, 2));
    assert!(eight(&one(page), 3).unwrap_err().to_string().contains("palette"));
}

#[test]
fn floats_are_shares_or_whole_numbers_to_255_or_need_deep_pictures() {
    let page = |values: &[f32]| {
        let side = values.len() as u32 / 3;
        one(Page::new([side, 1], 32, 3, RGB, floats(values)).with(FORMAT, Short(vec![3; 3])))
    };
    let shares = eight(&page(&[0.0, 0.5, 1.0]), 3).unwrap();
    assert_eq!((shares.pixels(), shares.remarks()), (&[0, 128, 255][..], &[][..]));
    let whole = eight(&page(&[0.0, 100.0, 255.0]), 3).unwrap();
    assert_eq!((whole.pixels(), whole.remarks()), (&[0, 100, 255][..], &[Remark::Scaled][..]));
    let mut stray = [0.5; 300];
    stray[7] = 1.2;
    let stray = eight(&page(&stray), 3).unwrap();
    assert_eq!(stray.remarks(), [Remark::Clamped { count: 1, of: 300 }]);
    for values in [[0.5, 100.0, 1.0], [0.0, 300.0, 1.0], [-3.0, 0.0, 1.0]] {
        let error = eight(&page(&values), 3).unwrap_err().to_string();
        assert!(error.contains("set data.depth=deep"), "{error}");
    }
    let grey = Page::new([2, 1], 32, 1, GREY, floats(&[0.0, 0.2])).with(FORMAT, Short(vec![3]));
    assert_eq!(eight(&one(grey), 1).unwrap().pixels(), [0, 51]);
    let signed = Page::new([1, 1], 16, 1, GREY, vec![1, 0]).with(FORMAT, Short(vec![2]));
    let error = eight(&one(signed), 1).unwrap_err().to_string();
    assert!(error.contains("either sign") && error.contains("data.depth=deep"), "{error}");
}

#[test]
fn refusals_say_what_a_file_is() {
    let page = |colors, tag, value| Page::new([1, 1], 8, 3, colors, vec![0; 3]).with(tag, value);
    for (bytes, words) in [
        (one(page(RGB, 259, Short(vec![6]))), "JPEG of the old kind"),
        (one(page(RGB, 259, Short(vec![50_000]))), "Zstandard"),
        (one(page(RGB, 259, Short(vec![34_712]))), "JPEG 2000"),
        (one(page(8, 530, Short(vec![1, 1]))), "colours in Lab"),
        (one(page(6, 530, Short(vec![2, 2]))), "YCbCr"),
        (one(page(32_803, 530, Short(vec![1, 1]))), "raw values"),
        (one(Page::new([1, 1], 1, 1, 0, vec![0]).with(259, Short(vec![3]))), "Group 3"),
        (one(Page::new([1, 1], 12, 1, 1, vec![0; 2])), "12 bits a value"),
    ] {
        for error in [eight(&bytes, 3), deeply(&bytes, 3)] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("; "), "{words}: {error}");
            assert!(!error.contains("Unknown"), "{error}");
        }
    }
}

#[test]
fn pages_that_are_not_used_are_counted() {
    let page = |side: u32, value: u8| {
        Page::new([side, side], 8, 1, GREY, vec![value; (side * side) as usize])
    };
    let remarks = |bytes: &[u8]| eight(bytes, 1).unwrap().remarks().to_vec();
    let pages = |of, axes, as_channels| {
        vec![Remark::Pages { used: 1, of, axes, as_channels, as_pictures: true }]
    };
    let plain = tiff((0..5).map(|value| page(8, value)).collect());
    assert_eq!(remarks(&plain), pages(5, Axes::default(), Some(5)));
    assert_eq!(deeply(&plain, 1).unwrap().remarks(), pages(5, Axes::default(), Some(5)));
    assert!(deeply(&plain, 5).unwrap().remarks().is_empty());
    // A pyramid, and a mask of the full size.
    let pyramid =
        tiff(vec![page(8, 1), page(4, 2), page(2, 3), page(8, 4).with(254, Long(vec![4]))]);
    assert!(remarks(&pyramid).is_empty() && deeply(&pyramid, 3).is_ok());
    // Two channels of three slices.
    let axes = Axes { channels: 2, slices: 3, frames: 1 };
    let imagej = "ImageJ=1.53t\nimages=6\nchannels=2\nslices=3\nhyperstack=true\n";
    let ome = "<?xml version=\"1.0\"?><OME><Image ID=\"Image:0\"><Pixels BigEndian=\"false\" \
               SizeC=\"2\" SizeT=\"1\" SizeX=\"8\" SizeY=\"8\" SizeZ=\"3\" Type=\"uint8\"/></Image></OME>";
    for text in [imagej, ome] {
        let first = page(8, 0).with(DESCRIPTION, Text(text.to_owned()));
        let bytes = tiff(std::iter::once(first).chain((1..6).map(|v| page(8, v))).collect());
        assert_eq!(remarks(&bytes), pages(6, axes, None), "{text}");
        let error = deeply(&bytes, 3).unwrap_err().to_string();
        assert!(error.contains("6 pages (2 channels × 3 slices)"), "{error}");
        assert!(!error.contains("model.channels"), "{error}");
    }
    // One directory for all of them.
    let frames = Axes { frames: 50, ..Axes::default() };
    for (text, axes) in [
        ("ImageJ=1.53t\nimages=50\nframes=50\n", frames),
        ("{\"shape\": [50, 8, 8], \"truncated\": true}", Axes::default()),
    ] {
        let bytes = one(page(8, 0).with(DESCRIPTION, Text(text.to_owned())));
        assert_eq!(remarks(&bytes), pages(50, axes, None), "{text}");
    }
    let kind = |bytes: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("a.tif"), bytes);
        let set = PictureSet::open(dir.path(), Labels::Ignored).unwrap();
        let found = Statistics::of(&set, 1, None, 0, &Limits::default()).unwrap();
        let told = found.remarks.iter().map(|told| (told.kind, told.pictures)).collect::<Vec<_>>();
        (found.kinds[0].kind.channels, found.kinds[0].kind.pages, told)
    };
    assert_eq!(kind(&plain), (1, 5, vec![("one_colour", 1), ("pages", 1)]));
}

#[test]
fn animations_tell_their_frames() {
    let (_, animated) = crate::pictures::good_kinds()
        .into_iter()
        .find(|(name, _)| *name == "animated.gif")
        .unwrap();
    let picture = eight(&animated, 3).unwrap();
    let text = picture.remarks()[0].to_string();
    assert!(text.starts_with("1 of 2 frames is used"), "{text}");
}

fn range(largest: u64, values: u64) -> Remark {
    Remark::Range { largest, of: 65_535, beyond: 0, values }
}

#[test]
fn twelve_bits_in_sixteen_are_told_and_dark_pictures_are_not() {
    let picture = |most: u16| {
        let image = image::ImageBuffer::from_fn(4, 4, |x, y| {
            image::Luma([if x + y == 0 { most } else { 9 }])
        });
        eight(&encode(image, image::ImageFormat::Png), 1).unwrap().remarks().to_vec()
    };
    assert_eq!(picture(4095), [range(4095, 16)]);
    assert_eq!(picture(16_383), [range(16_383, 16)]);
    // A night sky: stars show what the file can hold.
    assert!(picture(40_000).is_empty());
    let page = Page::new([1, 1], 16, 3, GREY, shorts(&[9, 9, 1023]));
    let remarks = eight(&one(page), 3).unwrap().remarks().to_vec();
    assert_eq!(remarks, [range(1023, 3)]);
}

fn raster(values: &[f32], nodata: Option<&str>) -> Vec<u8> {
    let page = Page::new([values.len() as u32, 1], 32, 1, GREY, floats(values));
    let page = page.with(FORMAT, Short(vec![3]));
    one(match nodata {
        Some(text) => page.with(NODATA, Text(text.to_owned())),
        None => page,
    })
}

#[test]
fn what_has_no_data_is_filled_and_left_out_of_statistics() {
    let declared = raster(&[-9999.0, 10.0, 12.0, 14.0], Some("-9999"));
    let picture = deeply(&declared, 1).unwrap();
    assert_eq!(picture.deep_values(), [0.0, 10.0, 12.0, 14.0]);
    assert_eq!(picture.remarks(), [Remark::NoData { count: 1, of: 4 }]);
    let filled =
        |bytes: &[u8], fill| decode::decode(bytes, deep(1), &Limits { fill, ..Limits::default() });
    assert_eq!(filled(&declared, Fill::Mean).unwrap().deep_values()[0], 12.0);
    assert_eq!(filled(&declared, Fill::Number(-1.0)).unwrap().deep_values()[0], -1.0);
    let other = raster(&[f32::NAN, 10.0, 12.0, -9999.0], Some("-9999"));
    let error = deeply(&other, 1).unwrap_err().to_string();
    assert!(error.contains("data.fill=0") && error.contains("-9999"), "{error}");
    let picture = filled(&other, Fill::Number(5.0)).unwrap();
    assert_eq!(picture.deep_values(), [5.0, 10.0, 12.0, 5.0]);
    let kinds: Vec<_> = picture.remarks().iter().map(Remark::kind).collect();
    assert_eq!(kinds, ["filled", "nodata"]);
    // 8 bits: a border of the declared white, and red that has as much of it in one colour.
    let page = Page::new([3, 1], 8, 3, RGB, vec![255, 255, 255, 255, 0, 0, 7, 8, 9]);
    let border = one(page.with(NODATA, Text("255".to_owned())));
    assert_eq!(eight(&border, 3).unwrap().pixels(), [0, 0, 0, 255, 0, 0, 7, 8, 9]);
    assert_eq!(eight(&border, 3).unwrap().remarks(), [Remark::NoData { count: 3, of: 9 }]);

    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("a.tif"), &declared);
    write(&dir.path().join("b.tif"), &raster(&[20.0, 4.0], Some("-9999")));
    write(&dir.path().join("nothing.tif"), &raster(&[f32::NAN; 4], Some("nan")));
    let set = PictureSet::open(dir.path(), Labels::Ignored).unwrap();
    let found = Statistics::of(&set, deep(1), None, 0, &Limits::default()).unwrap();
    // Of 10, 12, 14, 20 and 4.
    let channel = found.channels[0];
    assert_eq!((channel.mean, channel.min, channel.max), (12.0, 4.0, 20.0));
    assert!((channel.std - (136.0f64 / 5.0).sqrt()).abs() < 1e-9, "{channel:?}");
    assert_eq!((found.pictures, found.pixels, found.skipped.len()), (2, 6, 1));
    assert!(found.skipped[0].reason.starts_with("no data in any pixel"), "{:?}", found.skipped);
}

#[test]
fn a_large_picture_names_the_setting_that_lifts_the_limit() {
    let bytes = one(Page::new([40, 30], 8, 1, GREY, vec![0; 1200]));
    for depth in [Depth::Eight, Depth::Deep] {
        let decoded = |pixels| {
            let format = PixelFormat { channels: 1, depth };
            decode::decode(&bytes, format, &Limits::of_pixels(pixels))
        };
        let error = decoded(1199).unwrap_err().to_string();
        assert!(error.contains("set data.max_pixels to 1200 or more"), "{error}");
        assert!(decoded(1200).is_ok());
    }
}

/// The remarks on deep pictures in a folder of these files: kinds, counts and texts.
fn looked_at(files: &[Vec<u8>]) -> Vec<(&'static str, usize, String)> {
    let dir = tempfile::tempdir().unwrap();
    for (number, bytes) in files.iter().enumerate() {
        write(&dir.path().join(format!("{number}.tif")), bytes);
    }
    let set = PictureSet::open(dir.path(), Labels::Ignored).unwrap();
    let found = Statistics::of(&set, deep(1), None, 0, &Limits::default()).unwrap();
    assert_eq!(found.pictures, files.len(), "{:?}", found.skipped);
    found.remarks.into_iter().map(|told| (told.kind, told.pictures, told.text)).collect()
}

#[test]
fn numbers_far_from_all_others_are_told_as_undeclared_nodata() {
    let signed = |values: &[i16]| {
        let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        one(Page::new([values.len() as u32, 1], 16, 1, GREY, data).with(FORMAT, Short(vec![2])))
    };
    let heights: Vec<f32> = (0..1000).map(|i| 400.0 + (i % 97) as f32).collect();
    let with = |number: f32, count: usize| {
        let mut values = heights.clone();
        values[100..100 + count].fill(number);
        values
    };
    for (number, written) in [(-9999.0, "-9999"), (1e20, "1e20"), (-32768.0, "-32768")] {
        let told = looked_at(&[raster(&with(number, 60), None), raster(&heights, None)]);
        assert_eq!((told.len(), told[0].0, told[0].1), (1, "undeclared", 1), "{told:?}");
        let start = format!("60 of 1000 values (6 %) are {written}, far from all others");
        assert!(told[0].2.starts_with(&start) && told[0].2.contains("data.fill"), "{told:?}");
    }
    let whole: Vec<i16> = with(-32768.0, 60).iter().map(|&value| value as i16).collect();
    assert_eq!(looked_at(&[signed(&whole)])[0].0, "undeclared");
    // Of whole numbers as they stand in the file.
    let mut counts: Vec<u16> = (0..1000).map(|i| 300 + i % 50).collect();
    counts[..20].fill(65_535);
    let sixteen = |counts: &[u16]| one(Page::new([1000, 1], 16, 1, GREY, shorts(counts)));
    assert!(looked_at(&[sixteen(&counts)])[0].2.contains(" are 65535, far from"));
    // Declared, it is none; a background of 0, two tones and single bright pixels are ordinary.
    assert_eq!(looked_at(&[raster(&with(-9999.0, 60), Some("-9999"))])[0].0, "nodata");
    let mut tones = [2.0; 1000];
    tones[..300].fill(-9999.0);
    for values in [with(0.0, 500), with(9e5, 1), tones.to_vec(), with(1500.0, 60)[..900].to_vec()] {
        let far = values.contains(&1500.0);
        assert_eq!(looked_at(&[raster(&values, None)]).len(), usize::from(far));
    }
}

#[test]
fn files_whose_values_mean_different_things_are_told() {
    let eight =
        |most: u8| one(Page::new([64, 1], 8, 1, GREY, (0..64).map(|i| i * (most / 64)).collect()));
    let sixteen = |most: u16| {
        one(Page::new(
            [64, 1],
            16,
            1,
            GREY,
            shorts(&(0..64).map(|i| i * (most / 64)).collect::<Vec<_>>()),
        ))
    };
    let floats =
        |most: f32| raster(&(0..64).map(|i| i as f32 * most / 64.0).collect::<Vec<_>>(), None);
    let told = looked_at(&[eight(255), eight(255), sixteen(4095)]);
    assert_eq!((told.len(), told[0].0, told[0].1), (1, "mixed", 1), "{told:?}");
    let words = "whole numbers of 16 bits go to 0.0606, but whole numbers of 8 bits to 0.7412";
    assert!(told[0].2.contains(words), "{told:?}");
    assert_eq!(looked_at(&[eight(255), floats(3000.0)])[0].0, "mixed");
    for same in
        [[eight(255), sixteen(65_535)], [eight(255), floats(1.0)], [sixteen(4095), sixteen(65_535)]]
    {
        assert_eq!(looked_at(&same), []);
    }
}

/// As GDAL writes pictures of the earth: rows of a border, then of values.
fn earth(bits: u16, border: u16, values: impl Fn(u16) -> u16) -> Vec<u8> {
    let all = (0..1000).map(|i| if i < 300 { border } else { values(i) });
    let data = match bits {
        8 => all.map(|value| value as u8).collect(),
        _ => shorts(&all.collect::<Vec<_>>()),
    };
    one(Page::new([1000, 1], bits, 1, GREY, data).with(GEO, Double(vec![10.0, 10.0, 0.0])))
}

/// The remarks that pictures of 8 bits get in a folder of this file.
fn eight_looked_at(bytes: &[u8]) -> Vec<(&'static str, String)> {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("a.tif"), bytes);
    let set = PictureSet::open(dir.path(), Labels::Ignored).unwrap();
    let found = Statistics::of(&set, 3, None, 0, &Limits::default()).unwrap();
    assert_eq!(found.pictures, 1, "{:?}", found.skipped);
    found.remarks.into_iter().map(|told| (told.kind, told.text)).collect()
}

#[test]
fn a_border_without_data_is_told_of_pictures_of_the_earth() {
    for (bits, border) in [(8, 0), (8, 255), (16, 0), (16, 65_535)] {
        let values = |i: u16| if bits == 8 { 40 + i % 150 } else { 9000 + 40 * i };
        let told = eight_looked_at(&earth(bits, border, values));
        assert_eq!((told.len(), told[0].0), (1, "undeclared"), "{bits} {border}: {told:?}");
        assert!(told[0].1.contains(&format!(" are {border}, far from")), "{told:?}");
        assert!(told[0].1.contains(&format!("-a_nodata {border} ")), "{told:?}");
    }
    // Shadows and highlights have others beside them, a mask has two tones.
    for (bits, end, values) in [
        (8, 0, (|i| i % 200) as fn(u16) -> u16),
        (8, 255, |i| 255 - i % 200),
        (16, 0, |i| (i - 300) * 60),
        (8, 0, |_| 255),
        (8, 0, |i| 1 + i % 9 * 20),
    ] {
        assert_eq!(eight_looked_at(&earth(bits, end, values)), [], "{bits} {end}");
    }
}

/// A picture in colours of one row, and the mask that GDAL writes into the file: of 1 bit, or of 8.
fn masked(hidden: u16, bits: u16) -> Vec<u8> {
    let colors = (0..64 * 3).map(|value| value as u8 + 20).collect();
    let shown = |i: u16| i >= hidden;
    let mask = match bits {
        1 => {
            (0..8).map(|byte| (0..8).fold(0, |sum, bit| sum << 1 | u8::from(shown(8 * byte + bit))))
        }
        _ => return masked_by(colors, (0..64).map(|i| 255 * u8::from(shown(i))).collect(), 8),
    };
    masked_by(colors, mask.collect(), 1)
}

fn masked_by(colors: Vec<u8>, mask: Vec<u8>, bits: u16) -> Vec<u8> {
    tiff(vec![
        Page::new([64, 1], 8, 3, RGB, colors),
        Page::new([64, 1], bits, 1, 4, mask).with(254, Long(vec![4])),
    ])
}

/// As rasterio's `dataset_mask` has it.
#[test]
fn what_a_mask_in_the_file_hides_is_no_data() {
    for bits in [1, 8] {
        let bytes = masked(20, bits);
        let picture = eight(&bytes, 3).unwrap();
        assert_eq!(picture.remarks(), [Remark::NoData { count: 60, of: 192 }]);
        assert_eq!(picture.pixels()[57..63], [0, 0, 0, 80, 81, 82]);
        let mean = Limits { fill: Fill::Mean, ..Limits::default() };
        assert_eq!(decode::decode(&bytes, 3, &mean).unwrap().pixels()[..3], [145, 146, 147]);
        let deep = deeply(&bytes, 3).unwrap();
        assert_eq!(deep.deep_values()[59..61], [0.0, 80.0 / 255.0]);
        assert_eq!(deep.remarks(), [Remark::NoData { count: 60, of: 192 }]);
        assert_eq!(eight(&masked(0, bits), 3).unwrap().remarks(), []);
        assert!(matches!(eight(&masked(64, bits), 3), Err(DecodeError::NoData)));
        let told = eight_looked_at(&bytes);
        assert!(told[0].1.contains("or a mask in the file"), "{told:?}");
    }
}

/// As GDAL reads a file written with SPARSE_OK: parts that are not there have its nodata value, or else 0.
#[test]
fn parts_that_are_not_in_the_file_have_no_data() {
    // Two strips of a row each, of which the second is not there.
    let file = |nodata: Option<&str>| {
        let page = Page::new([4, 2], 16, 1, GREY, shorts(&[30_000; 4]));
        let mut bytes = one(match nodata {
            Some(text) => page.with(NODATA, Text(text.to_owned())),
            None => page,
        });
        two_strips(&mut bytes);
        bytes
    };
    let picture = eight(&file(Some("65535")), 1).unwrap();
    assert_eq!(picture.remarks(), [Remark::NoData { count: 4, of: 8 }]);
    assert_eq!(picture.pixels(), [117, 117, 117, 117, 0, 0, 0, 0]);
    assert_eq!(deeply(&file(Some("0")), 1).unwrap().remarks()[0].kind(), "nodata");
    assert_eq!(deeply(&file(None), 1).unwrap().deep_values()[4..], [0.0; 4]);
    assert_eq!(eight(&file(None), 1).unwrap().pixels(), [117, 117, 117, 117, 0, 0, 0, 0]);
}

/// Makes of a file of one strip one of two, the second without a place and without bytes.
fn two_strips(bytes: &mut Vec<u8>) {
    let entries = u16::from_le_bytes([bytes[8], bytes[9]]).into();
    let long = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    for at in (0..entries).map(|entry| 10 + 12 * entry) {
        let put = |bytes: &mut Vec<u8>, at: usize, value: u32| {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        };
        match u16::from_le_bytes([bytes[at], bytes[at + 1]]) {
            278 => put(bytes, at + 8, 1),
            273 | 279 => {
                let (value, end) = (long(bytes, at + 8), bytes.len() as u32);
                put(bytes, at + 4, 2);
                put(bytes, at + 8, end);
                bytes.extend(value.to_le_bytes());
                bytes.extend([0; 4]);
            }
            _ => {}
        }
    }
}

#[test]
fn floats_of_two_scales_are_told() {
    let floats =
        |most: f32| raster(&(1..=64).map(|i| i as f32 * most / 64.0).collect::<Vec<_>>(), None);
    let told = looked_at(&[floats(0.9), floats(200.0), floats(180.0)]);
    assert_eq!((told.len(), told[0].0, told[0].1), (1, "mixed_floats", 1), "{told:?}");
    let words = ["such as ", "0.tif, go from 0 to 0.9000, those of others to 200.0000"];
    assert!(words.iter().all(|words| told[0].2.contains(words)), "{told:?}");
    // Heights differ, dark pictures and signed ones mean the same.
    for same in [
        vec![floats(0.9), floats(3.0), floats(200.0)],
        vec![floats(0.1), floats(200.0)],
        vec![floats(0.9), floats(1.0)],
        vec![raster(&[-0.5, 0.9], None), floats(200.0), floats(0.9)],
    ] {
        assert_eq!(looked_at(&same), []);
    }
}

#[test]
fn scales_that_differ_by_file_are_told() {
    let file = |text: &str| {
        let data = (0..64).map(|value| 3 * value).collect();
        one(Page::new([64, 1], 8, 1, GREY, data).with(42_112, Text(text.to_owned())))
    };
    let scale = |scale: &str| {
        let item = |name: &str, number: &str| {
            format!(
                r#"<Item name="{name}" sample="0" role="{}">{number}</Item>"#,
                name.to_lowercase()
            )
        };
        let items = item("OFFSET", "0") + &item("SCALE", scale);
        file(&format!("<GDALMetadata>{items}</GDALMetadata>"))
    };
    let told = looked_at(&[scale("1"), scale("0.01"), file("<GDALMetadata/>")]);
    assert_eq!((told.len(), told[0].0, told[0].1), (1, "scales", 1), "{told:?}");
    assert!(told[0].2.contains("(GDAL: scale 0.01, where most have scale 1)"), "{told:?}");
    assert_eq!(looked_at(&[scale("0.01"), scale("0.01")]), []);
}

/// A JPEG of no data but a frame.
fn jpeg_frame(marker: u8, bits: u8) -> Vec<u8> {
    let frame = [0xFF, marker, 0, 11, bits, 0, 8, 0, 8, 1, 1, 0x11, 0];
    let scan = [0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0, 1, 2, 3];
    [&[0xFF, 0xD8][..], &frame, &scan, &[0xFF, 0xD9]].concat()
}

#[test]
fn jpegs_that_are_not_read_are_named_with_what_helps() {
    for (marker, bits, name) in
        [(0xF7, 8, "JPEG-LS"), (0xC1, 12, "12 bits"), (0xC3, 16, "lossless JPEG")]
    {
        let bytes = jpeg_frame(marker, bits);
        let error = eight(&bytes, 1).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        assert!(error.contains("PNG or TIFF") && !error.contains("jpegtran"), "{error}");
        let cut = eight(&bytes[..bytes.len() - 2], 1).unwrap_err().to_string();
        assert_eq!(cut.contains(name), marker == 0xF7, "{cut}");
    }
}

#[test]
fn kinds_of_rare_jpegs_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/odd/arithmetic.jpg");
    std::fs::copy(fixture, dir.path().join("a.jpg")).unwrap();
    write(&dir.path().join("b.jpg"), &jpeg_frame(0xC1, 12));
    let set = PictureSet::open(dir.path(), Labels::Ignored).unwrap();
    let found = Statistics::of(&set, 3, None, 0, &Limits::default()).unwrap();
    let kinds: Vec<_> =
        found.kinds.iter().map(|of| (of.kind.format, of.kind.channels, of.kind.bits)).collect();
    assert_eq!(kinds, [("JPEG", 1, 8), ("JPEG", 1, 12)]);
}

#[test]
fn changed_pngs_have_one_reason() {
    let plain = crate::pictures::png(40, 30);
    let reasons: std::collections::BTreeSet<String> = (1..6)
        .map(|part| {
            let mut bytes = plain.clone();
            let at = 60 + (bytes.len() - 80) * part / 6;
            bytes[at] ^= 0x55;
            eight(&bytes, 3).unwrap_err().to_string()
        })
        .collect();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons.iter().all(|reason| reason.contains("changed or lost")), "{reasons:?}");
}

#[test]
fn white_icons_are_told_by_their_transparency() {
    let dir = tempfile::tempdir().unwrap();
    let icon =
        image::RgbaImage::from_fn(8, 8, |x, _| image::Rgba([255, 255, 255, 255 * (x as u8 % 2)]));
    icon.save(dir.path().join("a.png")).unwrap();
    let set = PictureSet::open(dir.path(), Labels::Ignored).unwrap();
    let found = Statistics::of(&set, 3, None, 0, &Limits::default()).unwrap();
    let told: Vec<_> = found.remarks.iter().map(|told| (told.kind, told.text.as_str())).collect();
    assert_eq!((told.len(), told[0].0), (1, "transparent"), "{told:?}");
    assert!(told[0].1.contains("so is the background"), "{told:?}");
}

#[test]
fn pictures_named_one_by_one_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let inputs: Vec<fcmae_data::Input> = ["a.png", "b.png"]
        .iter()
        .map(|name| {
            let path = dir.path().join(name);
            image::ImageBuffer::from_fn(8, 8, |x, y| image::Luma([(40 * x + y) as u16]))
                .save(&path)
                .unwrap();
            path.into()
        })
        .collect();
    let found = Statistics::of_inputs(&inputs, 1, None, 1, &Limits::default()).unwrap();
    let told: Vec<_> = found.remarks.iter().map(|told| (told.kind, told.pictures)).collect();
    assert_eq!(told, [("range", 2)]);
    assert!(found.remarks[0].first.ends_with("a.png"));
}
