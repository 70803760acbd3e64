//! What to do about each error that the libraries can return.

use std::borrow::Cow;
use std::error::Error;
use std::io;

use crate::failure::{FAILED, INTERRUPTED, USAGE};

/// What an error means to the user.
#[derive(Debug)]
pub(crate) struct Advice {
    /// The exit code.
    pub(crate) code: u8,
    /// What to do.
    pub(crate) hint: Cow<'static, str>,
}

/// The advice for the outermost cause that is known, else general advice.
pub(crate) fn advice(error: &(dyn Error + 'static)) -> Advice {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(advice) = of_one(error) {
            return advice;
        }
        cause = error.source();
    }
    failed("`alexnet help` lists the commands, `alexnet help COMMAND` explains one")
}

fn of_one(error: &(dyn Error + 'static)) -> Option<Advice> {
    (error.downcast_ref().map(of_train))
        .or_else(|| error.downcast_ref().map(of_zoo))
        .or_else(|| error.downcast_ref().map(of_net))
        .or_else(|| error.downcast_ref().map(of_lack))
        .or_else(|| error.downcast_ref().map(of_data))
        .or_else(|| error.downcast_ref().map(of_weights))
        .or_else(|| error.downcast_ref().map(of_io))
}

fn usage(hint: impl Into<Cow<'static, str>>) -> Advice {
    Advice { code: USAGE, hint: hint.into() }
}

fn failed(hint: impl Into<Cow<'static, str>>) -> Advice {
    Advice { code: FAILED, hint: hint.into() }
}

fn of_net(error: &net::Error) -> Advice {
    use net::Error::*;
    match error {
        UnknownPreset { .. } => {
            usage("`alexnet describe --list` shows the presets; a net of your own is a file whose name ends in .toml")
        }
        Text { .. } | Layer { .. } => {
            usage("`alexnet describe --net NAME --toml` prints a preset in the form that is read; compare with that")
        }
        Net { .. } => usage("`alexnet describe --net NAME` shows a net's layers and shapes"),
        Param { .. } => {
            failed("these weights are another net's; `alexnet describe --net FILE` shows which net they were written for")
        }
        Engine { engine: "cuda", .. } => failed(NO_GPU),
        Lost { .. } => failed(
            "the last checkpoint is intact: `alexnet train --resume RUN` goes on from it; `alexnet doctor` tells whether the GPU \
             is there again",
        ),
        Batch(_) => failed("this is a fault of the program; please report it with the command that you ran"),
        _ => failed("try a smaller batch, or fewer --threads; `--batch auto` finds a batch that fits"),
    }
}

/// What to do where a GPU does not do it.
const NO_GPU: &str = "`alexnet doctor` shows what was found and what is missing; --device cpu computes without a GPU";

fn of_lack(error: &cuda::Lack) -> Advice {
    match error {
        cuda::Lack::NoSuchGpu { .. } => usage("`alexnet doctor` lists the GPUs"),
        _ => failed(NO_GPU),
    }
}

fn of_data(error: &data::Error) -> Advice {
    use data::Error::*;
    match error {
        Path { source, .. } | File { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => of_io(source),
        Path { .. } => failed("check the path; relative paths start at the current directory"),
        Layout { .. } => failed(
            "put the images of each class in a folder of its own: DIR/train/CLASS/* and DIR/val/CLASS/*, or DIR/CLASS/*; where \
             this is a part of a data set, give the folder of all of it",
        ),
        Archive { .. } => {
            failed("the archive is damaged or was not downloaded whole: compare its size and checksum with those of its origin")
        }
        Description { .. } => {
            failed("get this file again from where the data set is from; the images alone do not say their classes")
        }
        Lacking { .. } => {
            failed("download it from where the data set is from, and put it there as it is; it need not be unpacked")
        }
        OtherForm { instead, .. } => failed(instead.clone()),
        Line { .. } => failed("correct that line, or remove it"),
        Malformed { .. } => failed("fetch the file again, and compare its size or checksum with what its publisher states"),
        EmptyClass { path, others: 1.., .. } => failed(format!(
            "if the data set begins in a folder below or above, give that one, such as {}; else put images into this class",
            path.display()
        )),
        EmptyClass { .. } => failed("put images into that folder, or remove it"),
        UnknownClasses { .. } => failed("add these classes to the training folder, or remove them from the validation folder"),
        NoImages { .. } => failed("give image files, folders that hold some, or a pattern in quotes such as 'photos/*.jpg'"),
        File { .. } | Image { .. } => {
            failed("`--bad-images report` finds every such file; `--bad-images skip` goes on without them, and lists them")
        }
        BadImages { .. } => failed("repair or remove these files, or go on without them: `--bad-images skip`"),
        AllBad { .. } => failed("none of the files could be read: check that they are JPEG, PNG, WebP or BMP images"),
        Empty { .. } => failed("the data set needs images in both its training and its validation folder"),
        Quarantine { .. } => failed("give a list that `alexnet data check DIR --quarantine FILE` wrote"),
        QuarantinedClasses { .. } => failed("put good images into these classes, remove the classes, or shorten the list"),
        Preprocessing(_) => {
            usage("choose a recipe that suits the net's input with --recipe, or edit one: `alexnet recipe scenes > my.toml`")
        }
        Stopped { .. } => Advice {
            code: INTERRUPTED,
            hint: "no step has been taken: give the command again, or `alexnet train --resume RUN` if the directory RUN is there"
                .into(),
        },
        Unfinished { .. } => failed("give the command again that made it, `alexnet data prepare`: it goes on where it stopped"),
        Pack { .. } => failed(
            "see that this is a pack's folder; in one, `alexnet data verify PACK` names all that is damaged: remove those files and \
             give the command again that made the pack, it makes what is missing",
        ),
        PackDiffers { .. } => failed("give the same options and data set as before, or another folder for another pack"),
        PackInUse { .. } => failed("wait for that process to end, or prepare into another folder"),
        Occupied { .. } => failed("give a new folder, or an empty one"),
        Vanished { .. } => {
            failed("see that the disk or share is still there, then give the command again: what is finished stays")
        }
        Storage(weights::Error::DiskFull { .. }) => {
            failed("free some space on that disk, then give the command again: what is finished stays")
        }
        Storage(error) => of_weights(error),
        Statistics(_) => failed("the file is damaged or another run's; use another checkpoint of the run"),
        _ => failed("try fewer --loader-threads"),
    }
}

fn of_weights(error: &weights::Error) -> Advice {
    use weights::Error::*;
    match error {
        DiskFull { .. } => failed(FULL),
        Format { .. } => failed("the file is damaged or not what it is taken for: get or write it again, or give another one"),
        Io { source, .. } => of_io(source),
        TooLarge { .. } => failed("leave --half away: single precision reaches further"),
        _ => failed("check the file and the disk it is on"),
    }
}

fn of_zoo(error: &zoo::Error) -> Advice {
    use zoo::Error::*;
    match error {
        UnknownFormat { path, .. } if path.extension().is_some_and(|end| end == "prototxt") => {
            failed("that is a net of Caffe's without its weights: give the .caffemodel")
        }
        UnknownFormat { .. } => {
            failed("give a run directory, a checkpoint, or a file of trained weights in one of the formats that are read")
        }
        UnknownNet { .. } => failed(
            "`alexnet describe --list` shows the presets; a net of your own can be read where the file holds its layers, as ONNX, \
             Caffe's and our own do",
        ),
        Ambiguous { .. } => usage("say which it is with --preset NAME; `alexnet describe --list` tells them apart"),
        Given { .. } => usage("`alexnet help predict` explains the options for files of other programs"),
        Inexpressible { .. } => failed("choose another format: safetensors and PyTorch files hold the parameters of every net"),
        NoCheckpoint { path } => failed(format!("let it train for longer: `alexnet train --resume {}`", path.display())),
        Net(error) => of_net(error),
        Data(error) => of_data(error),
        Weights(error) => of_weights(error),
        Train(error) => of_train(error),
        _ => failed("`alexnet help predict` explains the options"),
    }
}

fn of_train(error: &train::Error) -> Advice {
    use train::Error::*;
    match error {
        Text { .. } => usage("`alexnet recipe NAME` prints a recipe in the form that is read; compare with that"),
        UnknownRecipe { .. } => {
            usage("`alexnet recipe` lists the recipes; a recipe of your own is a file whose name ends in .toml")
        }
        RecipeFit { .. } => {
            usage("choose another recipe with --recipe, or edit one: `alexnet recipe NAME > my.toml`, then `--recipe my.toml`")
        }
        Dataset { .. } => failed(
            "training takes a folder of images for each class, and validation some of each: DIR/val/CLASS/*, or several images \
             a class; a recipe without `plateau` can do without",
        ),
        InUse { .. } => failed("wait for that run to end, or train into another directory with --run"),
        Occupied { path } => failed(format!(
            "go on with it by `alexnet train --resume {}`, or choose another directory with --run",
            path.display()
        )),
        NoRun { .. } => failed("give the directory that `alexnet train` named when it began, such as runs/scenes-scenes-1"),
        File { .. } => failed("the file was changed or damaged; restore it, or use another run or checkpoint"),
        Damaged { older: Some(_), .. } => {
            failed("`alexnet train --resume RUN --fall-back` goes on from the older one; --weights takes its path")
        }
        Damaged { older: None, .. } => failed("use another checkpoint, or train again into another directory with --run"),
        WeightsLost { path, .. } => {
            failed(format!("begin again: remove {}, and give the `alexnet train --init` that began it", path.display()))
        }
        NothingFits { .. } => {
            failed("`alexnet describe FILE` shows the layers of a trained net; leave --net out to train that net")
        }
        Mismatch { .. } => failed("`alexnet describe --net CHECKPOINT` shows what a checkpoint was written for"),
        ParamNotFinite { step: 0, .. } => {
            failed("the weights to begin with are damaged, or of a training that diverged; give others")
        }
        NotFinite { .. } | ParamNotFinite { .. } => {
            failed("training diverged: try a smaller --rate, or look at the images that are named")
        }
        NotMemorised { .. } => {
            failed("a net that cannot memorise one batch will not learn more: try another --rate, or look at net and recipe")
        }
        Net(error) => of_net(error),
        Data(error) => of_data(error),
        Weights(weights::Error::DiskFull { .. }) => failed(
            "free some space on that disk, then go on with `alexnet train --resume RUN`; checkpoints written before are whole",
        ),
        Weights(error) => of_weights(error),
        _ => failed("`alexnet help train` explains the options"),
    }
}

const FULL: &str = "free some space on that disk, then give the command again";

fn of_io(error: &io::Error) -> Advice {
    match error.kind() {
        io::ErrorKind::NotFound => failed("check the path; relative paths start at the current directory"),
        io::ErrorKind::PermissionDenied => failed("check who owns the file or directory, and its permissions"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failed(FULL),
        io::ErrorKind::AlreadyExists => failed("choose another name, or remove what is there"),
        _ => failed("check the path and the disk it is on"),
    }
}

#[cfg(test)]
mod tests {
    use crate::failure::Failure;

    #[test]
    fn a_gpu_that_is_lost_leaves_the_checkpoints() {
        let message = "cuStreamSynchronize: CUDA_ERROR_ECC_UNCORRECTABLE (uncorrectable ECC error encountered)".to_string();
        let lost = train::Error::from(net::Error::Lost { engine: "cuda", message: message.clone() });
        let failure = Failure::from(lost);
        assert_eq!(failure.code(), 1);
        let text = failure.to_string();
        let expected = format!(
            "error: cuda engine: the GPU was lost: {message}\nhint: the last checkpoint is intact: `alexnet train --resume"
        );
        assert!(text.starts_with(&expected), "{text}");
        let missing = Failure::from(net::Error::Engine { engine: "cuda", message: "no".into() }).to_string();
        assert!(missing.starts_with("error: cuda engine: no\nhint: `alexnet doctor`"), "{missing}");
        let memory = Failure::from(net::Error::Engine { engine: "cpu", message: "no".into() }).to_string();
        assert!(memory.contains("\nhint: try a smaller batch"), "{memory}");
    }
}
