"""timm's models from a hub's repository or a folder: `hf-hub:REPOSITORY`, `local-dir:FOLDER`."""

from __future__ import annotations

import timm
from timm.models import PretrainedCfg, load_model_config_from_hf
from timm.models._hub import load_model_config_from_path
from torch import nn

from vitprobe.errors import InputError, brief
from vitprobe.files import expanded
from vitprobe.models.from_timm import TimmSource
from vitprobe.models.hub import pinned, quiet_hub
from vitprobe.models.source import Frame, Source

HUB, FOLDER = TIMM_HUBS = ("hf-hub:", "local-dir:")


class TimmHubSource(TimmSource):
    """A model that timm wrote (`timm.models.save_for_hf`, `push_to_hf_hub`) with its config.json.

    revision: branch, tag or commit; None: the main one. What it is at now is `self.revision`.
    """

    def __init__(self, name: str, revision: str | None = None):
        prefix = HUB if name.startswith(HUB) else FOLDER
        self._where = name.removeprefix(prefix)
        if prefix == FOLDER:
            if revision is not None:
                raise InputError(f"{name} is a folder, which has no revisions")
            folder = expanded(self._where, "model's folder")
            if not folder.is_dir():
                raise InputError(f"{name}: no folder {folder}")
            self._where, model = str(folder), f"{FOLDER}{folder}"
        else:
            self.revision = pinned(name, self._where, revision)
            self._where = f"{self._where}@{self.revision}"
            model = f"{HUB}{self._where}"
        super().__init__(name, model)

    def _configuration(self) -> PretrainedCfg:
        read = load_model_config_from_hf if self.revision else load_model_config_from_path
        try:
            with quiet_hub():
                config, architecture, _ = read(self._where)
            usual = timm.get_pretrained_cfg(architecture)
            fixed = config.get("fixed_input_size") or usual.fixed_input_size  # not always stored
            config |= {"architecture": architecture, "fixed_input_size": fixed}
            return PretrainedCfg(**config)
        except Exception as error:  # JSON's, the client's, timm's
            raise InputError(
                f"{self.name} cannot be read as a model of timm ({brief(error)}): a folder of "
                f"transformers is hf:{self.name.partition(':')[2]}"
            ) from error

    def for_pretrained(self) -> Source:
        return self

    def build_pretrained(self, size: Frame | None) -> tuple[nn.Module, str]:
        model, _ = super().build_pretrained(size)
        return model, f"timm {self.config.architecture}"
