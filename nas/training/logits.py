"""What a network must give: a logit for each class of each image."""

from torch import Tensor

from nas.errors import NasError


class WrongLogits(NasError):
    """A network that does not give a number for each class of each image."""


def check_logits(output: object, images: int, classes: int) -> None:
    """Raises:
    WrongLogits: `output` is not of the shape (images, classes).
    """
    if not isinstance(output, Tensor):
        given = f"a {type(output).__name__}"
    elif tuple(output.shape) == (images, classes) and output.is_floating_point():
        return
    else:
        shape = ", ".join(["batch", *map(str, output.shape[1:])])
        given = (
            f"({shape})" if output.shape[:1] == (images,) else f"{tuple(output.shape)} for {images} images"
        )
        given += "" if output.is_floating_point() else f" of {output.dtype}"
    raise WrongLogits(f"the network gives {given}, and its data needs one logit a class: (batch, {classes}).")
