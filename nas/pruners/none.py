"""Every trial is trained to its end."""

from nas.study.reader import StudyReader


class Never:
    """Ends nothing."""

    def stop(self, number: int, images_seen: int, value: float) -> str | None:
        return None


def make(study: StudyReader) -> Never:
    return Never()
