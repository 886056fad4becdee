//! The real driver on a fake card (`fake/cuda.c`), which does everything as late as is legal: calls, their order and
//! their arguments. Whether a real card takes them is for a machine that has one.
//!
//! The driver's library is found by its name alone, so that the tests of [`within`] run in a process of their own, with
//! the fake in its search path.
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Set for the process that has the fake: the folder where it lies.
const FAKE: &str = "FCMAE_TEST_FAKE_CUDA";

#[test]
fn the_driver_drives_a_fake_card() {
    let name = format!("fcmae-cuda-fake-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let library = folder.join("libcuda.so.1");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake/cuda.c");
    let built = Command::new("cc")
        .args(["-std=gnu11", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    assert!(built.unwrap().success());
    // One file, so that the three share what they know.
    for name in ["libnvrtc.so.13", "libcublasLt.so.13"] {
        std::os::unix::fs::symlink(&library, folder.join(name)).unwrap();
    }
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["within::", "--test-threads=1"])
        .env(FAKE, &folder)
        .env("LD_LIBRARY_PATH", &folder)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .output()
        .unwrap();
    let said = [ran.stdout, ran.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(ran.status.success(), "{}", said.concat());
    assert!(said[0].contains("test within::"), "{}", said.concat());
}

fn fake() -> Option<PathBuf> {
    std::env::var_os(FAKE).map(PathBuf::from)
}

mod within {
    use std::sync::Arc;

    use fcmae_cuda::CudaError;
    use fcmae_cuda::driver::{
        Address, Choice, Driver, Given, GivenMatrix, GivenProduct, Mark, Stream, Work,
    };
    use fcmae_cuda::nvidia;
    use fcmae_cuda::work::Element;

    use super::fake;

    fn card() -> Option<Arc<dyn Driver>> {
        Some(nvidia::open(0, Some(&fake()?)).unwrap())
    }

    fn up(card: &dyn Driver, bytes: &[u8]) -> Address {
        let at = card.allocate(bytes.len()).unwrap();
        card.upload(Stream::Work, bytes, at).unwrap();
        at
    }

    fn down(card: &dyn Driver, at: Address, bytes: usize) -> Vec<u8> {
        let mut to = vec![0; bytes];
        card.download(at, &mut to).unwrap();
        to
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_ne_bytes()).collect()
    }

    fn of_floats(bytes: &[u8]) -> Vec<f32> {
        bytes.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect()
    }

    fn random(seed: u32, len: usize) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    fn number<const N: usize>(value: [u8; N]) -> Given {
        let mut bytes = [0; 8];
        bytes[..N].copy_from_slice(&value);
        Given::Number(bytes, N)
    }

    #[test]
    fn it_is_known() {
        let Some(card) = card() else { return };
        let facts = card.facts();
        assert_eq!((facts.name.as_str(), facts.architecture, facts.processors), ("Fake", 90, 132));
        assert!(facts.versions[0].1.ends_with("CUDA 13.0") || facts.versions[0].1.contains('('));
        let versions = facts.versions[1..].iter().map(|(_, version)| version.as_str());
        assert_eq!(versions.collect::<Vec<_>>(), ["13.0", "13.1.0"]);
        let cards = nvidia::cards().unwrap();
        assert_eq!((cards.len(), cards[0].memory), (1, facts.memory));
        assert_eq!(*cards[0].free.as_ref().unwrap(), card.free_memory().unwrap());
        let missing = nvidia::open(1, fake().as_deref());
        assert!(matches!(missing, Err(CudaError::Number { number: 1, count: 1 })));
    }

    #[test]
    fn other_machines_are_told_what_they_need() {
        let Some(folder) = fake() else { return };
        // SAFETY: the fake has it, with this type.
        let machine = unsafe {
            let library = libloading::Library::new("libcuda.so.1").unwrap();
            *library.get::<unsafe extern "C" fn(i32, i32, i32, i32)>(b"fake_machine\0").unwrap()
        };
        for ((version, init, count, architecture), says) in [
            ((11_080, 0, 1, 90), "the driver for CUDA 11.8 is too old: 12.0 (driver 525)"),
            ((12_080, 0, 1, 90), "this one is for CUDA 12.8: install the Python package nvidia-c"),
            ((13_000, 100, 0, 90), "there is no NVIDIA GPU that can be used"),
            ((13_000, 0, 0, 90), "CUDA_VISIBLE_DEVICES"),
            ((13_000, 999, 1, 90), "fallen off the bus"),
            ((13_000, 803, 1, 90), "restart the machine"),
            ((13_000, 0, 1, 61), "Fake has compute capability 6.1: 7.5 is the first"),
            (
                (13_000, 0, 1, 75),
                "NVRTC 13.0 compiles for architectures 80 to 90 and not for 75: an older",
            ),
        ] {
            // SAFETY: it has no demands, and no other test runs beside this one.
            unsafe { machine(version, init, count, architecture) };
            let error = nvidia::open(0, Some(&folder)).unwrap_err().to_string();
            // SAFETY: as above.
            unsafe { machine(13_000, 0, 1, 90) };
            assert!(error.contains(says), "{error}");
        }
        let elsewhere = std::env::temp_dir();
        let error = nvidia::open(0, Some(&elsewhere)).unwrap_err().to_string();
        assert!(error.contains("has no libnvrtc (the Python package nvidia-cuda-nvrtc"), "{error}");
        // Folders are separated as in PATH.
        let both = std::env::join_paths([&elsewhere, &folder]).unwrap();
        nvidia::open(0, Some(both.as_ref())).unwrap();
    }

    #[test]
    fn blocks_are_used_again_and_go_when_memory_is_short() {
        let Some(card) = card() else { return };
        let free = card.free_memory().unwrap() as usize;
        let half = free / 2 / 256 * 256 - 256;
        let first = card.allocate(half).unwrap();
        assert_eq!(first % 256, 0);
        card.run(&[Work::Clear { at: first, bytes: half }]).unwrap();
        card.upload(Stream::Copies, &[1], first).unwrap();
        card.free(first);
        assert_eq!(card.free_memory().unwrap() as usize, free);
        // Of this size there is one. What is uploaded now comes after what was cleared then.
        assert_eq!(card.allocate(half).unwrap(), first);
        card.upload(Stream::Copies, &[7; 4], first).unwrap();
        // More than staging has at first: the card is made to do these copies, before any work.
        let other = card.allocate(4 << 20).unwrap();
        card.upload(Stream::Copies, &vec![0; 4 << 20], other).unwrap();
        card.free(other);
        let mark = card.mark(Stream::Copies).unwrap();
        card.wait(Stream::Work, mark).unwrap();
        assert_eq!(down(&*card, first, 5), [7, 7, 7, 7, 0]);
        card.free(first);
        // For this one the other must go.
        let all = card.allocate(free - 256).unwrap();
        assert!(matches!(
            card.allocate(1024),
            Err(CudaError::Memory { wanted: 1024, free: Some(_) })
        ));
        card.free(all);
        assert_eq!(card.free_memory().unwrap() as usize, free);
    }

    #[test]
    fn bytes_go_over_and_come_back_however_late_the_card_is() {
        let Some(card) = card() else { return };
        for stream in [Stream::Work, Stream::Copies] {
            let sizes = [1, 3, 1000, 300_000, 2 << 20, 40 << 20, 17, 5 << 20];
            let mut kept = Vec::new();
            for (seed, size) in sizes.into_iter().cycle().take(24).enumerate() {
                let mut bytes = random(seed as u32, size);
                let at = card.allocate(size).unwrap();
                card.upload(stream, &bytes, at).unwrap();
                // They may change as soon as the call returns.
                bytes.fill(0);
                kept.push((seed as u32, size, at));
            }
            if stream == Stream::Copies {
                let mark = card.mark(stream).unwrap();
                card.wait(Stream::Work, mark).unwrap();
            }
            for (seed, size, at) in kept {
                assert!(down(&*card, at, size) == random(seed, size), "{size} bytes");
                card.free(at);
            }
        }
        card.upload(Stream::Work, &[], card.allocate(1).unwrap()).unwrap();
    }

    #[test]
    fn streams_wait_for_marks_and_old_marks_are_good() {
        let Some(card) = card() else { return };
        let (from, to) = (card.allocate(4).unwrap(), card.allocate(4).unwrap());
        let copy = [Work::Copy { from, to, bytes: 4 }];
        let mut old = None;
        for round in 0..200u32 {
            card.upload(Stream::Copies, &round.to_ne_bytes(), from).unwrap();
            let uploaded = card.mark(Stream::Copies).unwrap();
            card.wait(Stream::Work, uploaded).unwrap();
            card.run(&copy).unwrap();
            let copied = card.mark(Stream::Work).unwrap();
            card.wait(Stream::Copies, copied).unwrap();
            let oldest = *old.get_or_insert(copied);
            card.wait(Stream::Copies, oldest).unwrap();
            if round % 50 == 7 {
                assert_eq!(down(&*card, to, 4), round.to_ne_bytes());
            }
        }
        assert_eq!(down(&*card, to, 4), 199u32.to_ne_bytes());
        assert!(card.wait(Stream::Work, Mark(400)).is_err());
    }

    #[test]
    fn kernels_get_their_arguments_and_other_work_is_refused() {
        let Some(card) = card() else { return };
        let parts: Vec<u8> =
            [1.5f64, 2.0, 4.0].iter().flat_map(|part| part.to_ne_bytes()).collect();
        let (parts, out) = (up(&*card, &parts), card.allocate(4).unwrap());
        let launch = |kernel: &'static str, arguments: &[Given]| Work::Launch {
            kernel,
            grid: [1; 3],
            block: [1; 3],
            arguments: arguments.into(),
        };
        let span = |at, bytes| Given::Span { at, bytes, written: false };
        let numbers = [number(3i32.to_ne_bytes()), number(0.5f64.to_ne_bytes())];
        let good = [span(parts, 24), span(out, 4), numbers[0], numbers[1]];
        // Another thread, which has no context yet.
        std::thread::scope(|scope| {
            let done = scope.spawn(|| card.run(&[launch("scaled_sum", &good)]));
            done.join().unwrap().unwrap();
        });
        assert_eq!(of_floats(&down(&*card, out, 4)), [3.75]);
        for (kernel, arguments, says) in [
            ("no_sum", good.to_vec(), "no such kernel"),
            ("scaled_sum", good[..3].to_vec(), "3 arguments for 4"),
            ("scaled_sum", vec![good[0], good[1], good[2], good[2]], "argument 3 has 4 bytes"),
            ("scaled_sum", [&[span(parts, 257)], &good[1..]].concat(), "not within memory"),
            ("scaled_sum", [&[span(16, 8)], &good[1..]].concat(), "not within memory"),
        ] {
            let error = card.run(&[launch(kernel, &arguments)]).unwrap_err().to_string();
            assert!(error.contains(kernel) && error.contains(says), "{error}");
        }
        let error = card.run(&[Work::Launch {
            kernel: "scaled_sum",
            grid: [0, 1, 1],
            block: [1; 3],
            arguments: good.into(),
        }]);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("cuLaunchKernel failed on Fake: scaled_sum"), "{error}");
        assert!(card.upload(Stream::Work, &[0; 300], out).is_err());
        assert!(card.download(out + 300, &mut [0]).is_err());
        card.free(out);
        assert!(card.run(&[Work::Clear { at: out, bytes: 4 }]).is_err());
    }

    /// Small whole numbers, which bfloat16 and every sum of them hold.
    fn whole(seed: u32, len: usize) -> Vec<f32> {
        random(seed, len).iter().map(|byte| f32::from(byte % 7) - 3.0).collect()
    }

    fn stored(values: &[f32], element: Element) -> Vec<u8> {
        match element {
            Element::F32 => floats(values),
            _ => values
                .iter()
                .flat_map(|value| ((value.to_bits() >> 16) as u16).to_ne_bytes())
                .collect(),
        }
    }

    fn loaded(bytes: &[u8], element: Element) -> Vec<f32> {
        match element {
            Element::F32 => of_floats(bytes),
            _ => bytes
                .as_chunks()
                .0
                .iter()
                .map(|bytes| f32::from_bits(u32::from(u16::from_ne_bytes(*bytes)) << 16))
                .collect(),
        }
    }

    #[test]
    fn products_are_right_and_their_algorithms_asked_for_once() {
        let Some(card) = card() else { return };
        // SAFETY: the fake has it, with this type.
        let asked = unsafe {
            let library = libloading::Library::new("libcuda.so.1").unwrap();
            *library.get::<unsafe extern "C" fn() -> i32>(b"fake_asked\0").unwrap()
        };
        let [rows, columns, depth] = [5, 3, 4];
        let elements = [
            (Element::F32, Element::F32),
            (Element::Bf16, Element::F32),
            (Element::Bf16, Element::Bf16),
        ];
        // The bias at a place that its kernels cannot load from, too.
        let cases = (0..32).flat_map(|case| elements.map(|of| (case, of)));
        for (case, (factors, result)) in cases {
            let [a_turned, b_turned, with_bias, adds, odd] =
                [1, 2, 4, 8, 16].map(|bit| case & bit != 0);
            let (a, b) = (whole(1, rows * depth), whole(2, depth * columns));
            let (bias, before) = (whole(3, columns), whole(4, rows * columns));
            let skipped = usize::from(odd);
            let bias_memory = up(&*card, &floats(&[vec![9.0; skipped], bias.clone()].concat()));
            let matrix = |at, element, turned| GivenMatrix { at, element, turned };
            // Less aligned than blocks are, `a` less than `b`.
            let put = |values: &[f32], skipped: usize| {
                let bytes = [vec![0; skipped], stored(values, factors)].concat();
                (up(&*card, &bytes), skipped as u64)
            };
            let (a_memory, b_memory) = (put(&a, 16 * skipped), put(&b, 64 * skipped));
            let product = GivenProduct {
                rows,
                columns,
                depth,
                a: matrix(a_memory.0 + a_memory.1, factors, a_turned),
                b: matrix(b_memory.0 + b_memory.1, factors, b_turned),
                bias: with_bias.then_some(bias_memory + 4 * skipped as u64),
                out: matrix(up(&*card, &stored(&before, result)), result, false),
                adds,
            };
            card.run(&[Work::Product(product)]).unwrap();
            let bytes = rows * columns * result.bytes();
            let out = loaded(&down(&*card, product.out.at, bytes), result);
            let mut expected = vec![0.0; rows * columns];
            for (index, expected) in expected.iter_mut().enumerate() {
                let (row, column) = (index / columns, index % columns);
                for k in 0..depth {
                    let a = if a_turned { a[k * rows + row] } else { a[row * depth + k] };
                    let b = if b_turned { b[column * depth + k] } else { b[k * columns + column] };
                    *expected += a * b;
                }
                *expected += if with_bias { bias[column] } else { 0.0 };
                *expected += if adds { before[index] } else { 0.0 };
            }
            assert_eq!(out, expected, "{product:?}");
            // SAFETY: it has no demands.
            let count = || unsafe { asked() };
            let before = count();
            card.run(&[Work::Product(product), Work::Product(product)]).unwrap();
            assert_eq!(count(), before, "{product:?}");
            for at in [a_memory.0, b_memory.0, product.out.at, bias_memory] {
                card.free(at);
            }
        }
        let at = card.allocate(64).unwrap();
        let matrix = |element| GivenMatrix { at, element, turned: false };
        let refused = GivenProduct {
            rows: 2,
            columns: 2,
            depth: 2,
            a: matrix(Element::F32),
            b: matrix(Element::F32),
            bias: None,
            out: matrix(Element::Bf16),
            adds: false,
        };
        let error = card.run(&[Work::Product(refused)]).unwrap_err().to_string();
        assert!(error.contains("Bf16 [2, 2] = F32 [2, 2]"), "{error}");
        let large = GivenProduct { rows: 500, out: matrix(Element::F32), ..refused };
        assert!(card.run(&[Work::Product(large)]).is_err());
    }

    #[test]
    fn products_are_done_as_was_chosen_before() {
        let Some(first) = card() else { return };
        // SAFETY: the fake has it, with this type.
        let asked = unsafe {
            let library = libloading::Library::new("libcuda.so.1").unwrap();
            *library.get::<unsafe extern "C" fn() -> i32>(b"fake_asked\0").unwrap()
        };
        // SAFETY: it has no demands.
        let count = || unsafe { asked() };
        let multiply = |card: &dyn Driver| {
            let [a, b] =
                [[1.0, 2.0, 3.0, 4.0], [0.5, 0.0, 0.0, 2.0]].map(|of| up(card, &floats(&of)));
            let out = card.allocate(16).unwrap();
            let matrix = |at| GivenMatrix { at, element: Element::F32, turned: false };
            let (a, b, out) = (matrix(a), matrix(b), matrix(out));
            let product =
                GivenProduct { rows: 2, columns: 2, depth: 2, a, b, bias: None, out, adds: false };
            card.run(&[Work::Product(product)]).unwrap();
            assert_eq!(loaded(&down(card, out.at, 16), Element::F32), [0.5, 4.0, 1.5, 8.0]);
        };
        assert!(first.choices().is_empty());
        multiply(&*first);
        let choices = first.choices();
        assert_eq!((choices.len(), choices[0].how.len()), (1, 64));
        assert_eq!(choices[0].product, "2x2x2 nn F32 F32 256,256,256");
        let before = count();
        let again = card().unwrap();
        again.choose(&choices);
        assert_eq!(again.choices(), choices, "before any product");
        multiply(&*again);
        assert_eq!((count(), again.choices()), (before, choices.clone()));
        // What cuBLASLt does not know, or is none of its algorithms.
        for how in [vec![0; 64], vec![0; 63], Vec::new()] {
            let (before, other) = (count(), card().unwrap());
            other.choose(&[Choice { how, ..choices[0].clone() }]);
            multiply(&*other);
            assert_eq!((count(), other.choices()), (before + 1, choices.clone()));
        }
    }

    #[test]
    fn recorded_work_is_done_when_it_is_replayed() {
        let Some(card) = card() else { return };
        let start = floats(&[1.0, 2.0, 3.0, 4.0]);
        let (a, out) = (up(&*card, &start), card.allocate(16).unwrap());
        let (copy, bias) = (card.allocate(16).unwrap(), up(&*card, &floats(&[1.0, 1.0])));
        let matrix = |at| GivenMatrix { at, element: Element::F32, turned: false };
        // A shape of which nothing is known before.
        let product = GivenProduct {
            rows: 2,
            columns: 2,
            depth: 2,
            a: matrix(a),
            b: matrix(a),
            bias: Some(bias),
            out: matrix(out),
            adds: true,
        };
        let work = [
            Work::Clear { at: out, bytes: 16 },
            Work::Product(product),
            Work::Copy { from: out, to: copy, bytes: 16 },
        ];
        card.upload(Stream::Work, &floats(&[9.0; 4]), out).unwrap();
        let graph = card.record(&work).unwrap();
        assert_eq!(of_floats(&down(&*card, out, 16)), [9.0; 4]);
        card.replay(graph).unwrap();
        assert_eq!(of_floats(&down(&*card, copy, 16)), [8.0, 11.0, 16.0, 23.0]);
        card.upload(Stream::Work, &floats(&[2.0, 0.0, 0.0, 2.0]), a).unwrap();
        card.replay(graph).unwrap();
        assert_eq!(of_floats(&down(&*card, copy, 16)), [5.0, 1.0, 1.0, 5.0]);
        // What cannot be recorded leaves nothing behind.
        let wrong = [Work::Clear { at: out, bytes: 16 }, Work::Clear { at: 1, bytes: 16 }];
        assert!(card.record(&wrong).is_err());
        assert_eq!(of_floats(&down(&*card, out, 16)), [5.0, 1.0, 1.0, 5.0]);
        let another = card.record(&work[..1]).unwrap();
        assert_ne!(graph, another);
        card.forget(graph);
        card.forget(graph);
        assert!(card.replay(graph).is_err());
        card.replay(another).unwrap();
        assert_eq!(of_floats(&down(&*card, out, 16)), [0.0; 4]);
    }
}
