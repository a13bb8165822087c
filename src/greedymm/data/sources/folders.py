"""Settings of datasets that are read from a folder of files."""

from pathlib import Path

from pydantic import Field

from greedymm.settings import DatasetSettings


class FolderSettings(DatasetSettings):
    """Settings that ModelNet40 and NVGesture share, also for a user's own files in their form."""

    folder: str | None = Field(default=None, description="of the files; null: data/raw/<name of the dataset>")
    validation: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="share of the training data held out: of the objects of each class, or of the clips, by subject;"
        " 0: none, and the training data are used for validation as well",
    )
    skip_broken: bool = Field(default=False, description="exclude files that cannot be read; else they are an error")
    seed: int = Field(default=0, ge=0, strict=True, description="of the choice of what is held out")
    edition: int = Field(
        default=1,
        ge=1,
        strict=True,
        description="raise it after changing files in the folder: changes are not detected",
    )

    def path(self, raw: Path) -> Path:
        """The user's folder, or the default one."""
        return raw if self.folder is None else Path(self.folder).expanduser()
