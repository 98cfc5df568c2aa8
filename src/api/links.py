"""Where players read an item's objects: openly at a public address, or signed for a while."""

from typing import NamedTuple
from urllib.parse import quote

from gpu_worker.contract import OutputLayout
from infra.object_storage import S3ObjectStorage
from infra.settings import Settings

PREVIEW = "preview/preview.m3u8"


class Links(NamedTuple):
    """The URLs of one ready item. `playlists` is the address of those that we sign."""

    settings: Settings
    storage: S3ObjectStorage
    layout: OutputLayout
    playlists: str

    @property
    def expire(self) -> bool:
        """Whether any of them is for a limited time."""
        return self._public_all is None

    @property
    def _public_all(self) -> str | None:
        return self.settings.public_media_url if self.settings.public_media == "all" else None

    def playlist(self, path: str) -> str:
        """A playlist, or the storyboard, by its path below the item's HLS objects."""
        public = self.settings.public_media_url if path == PREVIEW else self._public_all
        return f"{self.playlists}/{path}" if public is None else f"{public}/{self._quoted(path)}"

    def _quoted(self, path: str) -> str:
        return quote(f"{self.layout.prefix}{path}")

    async def object(self, key: str) -> str:
        """An object by its key."""
        if self._public_all is not None:
            return f"{self._public_all}/{quote(key)}"
        return await self.storage.presign_get(key, self.settings.playback_url_ttl_s)
