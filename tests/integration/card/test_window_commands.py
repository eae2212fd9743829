"""`onecard window …` against the real card service: what a clerk types, and what an employer's file becomes."""

import asyncio
import csv
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from stdnum.iso7064 import mod_11_2
from typer.testing import CliRunner

from cli.main import app
from services.card.adapters.batches import add_rows
from services.card.handlers import submit_batch
from services.common.errors import Code, DomainError
from tests.integration.card.test_api_cards import issued
from tests.integration.card.test_pins import OTHER_PIN, PIN
from tests.integration.card.test_sessions import KIOSK
from tests.support.cardholders import citizen_number
from tests.support.hall import WINDOW, Hall, Owner, Window
from tests.support.photos import FAR_AWAY, good_photo, jpeg, portrait

NAMES = "李王张刘陈杨黄赵吴周"


class Desk:
    """A window's command line, with somebody signed in."""

    def __init__(self, hall: Hall, clerk: Window, folder: Path) -> None:
        self.hall = hall
        self.clerk = clerk
        """The same window, without its command line."""
        self.folder = folder
        self.certificates = folder / "certificates"
        self.certificates.mkdir()
        shutil.copy(self.hall.authority.certificate, self.certificates / "authority.crt")
        for subject, name in ((WINDOW, "WINDOW-1"), (KIOSK, "KIOSK-1")):
            issued_to = self.hall.authority.issue(subject)
            shutil.copy(issued_to.certificate, self.certificates / f"{name}@CITY-HALL.crt")
            shutil.copy(issued_to.key, self.certificates / f"{name}@CITY-HALL.key")
        (self.certificates / "WINDOW-1@CITY-HALL.session").write_text(clerk.token)

    async def __call__(self, *words: str, typed: str = "", at: str = "window") -> tuple[int, str]:
        """The exit status, and what stands on the screen; `at`: or a kiosk."""
        options = ["--card-api", f"localhost:{self.hall.port}", "--certificates", str(self.certificates)]
        result = await asyncio.to_thread(CliRunner().invoke, app, [at, *words, *options], input=typed)
        return result.exit_code, result.output

    def batch(self, people: Sequence[str], *, told: int = 0, columns: str = "name,number,phone", name: str = "W-1") -> Path:
        file = self.folder / f"{name}.csv"
        file.write_text(f"batch,{name},{told or len(people)}\n{columns}\n" + "\n".join(people) + "\n", encoding="gb18030")
        return file


@pytest.fixture
async def desk(hall: Hall, tmp_path: Path) -> Desk:
    return Desk(hall, await hall.window(), tmp_path)


def line(number: int, phone: str = "13812345678", more: str = "") -> str:
    return f"{NAMES[number % 10]}某,{citizen_number(number)},{phone}{more}"


def rejects(file: Path) -> list[list[str]]:
    with file.with_suffix(".rejects.csv").open(encoding="utf-8-sig", newline="") as found:
        return list(csv.reader(found))[1:]


async def test_an_employers_file_has_a_verdict_for_each_line_and_is_handed_in_again_without_a_double(
    desk: Desk, owner: Owner
) -> None:
    people = [line(number) for number in range(1, 131)]
    people[6], people[20] = line(7, "1"), line(3)
    people[8] = f"王某,{citizen_number(9)[:-1]},13812345678"
    file = desk.batch(people)
    status, screen = await desk("apply", "--file", str(file))
    assert (status, "batch W-1: 127 accepted, 3 refused" in screen) == (1, True), screen
    told = [("9", "PHONE_NOT_ACCEPTED"), ("11", "DOCUMENT_NOT_ACCEPTED"), ("23", "ROW_REPEATED")]
    assert [(row[0], row[1]) for row in rejects(file)] == told
    assert all(row[3].endswith("。") for row in rejects(file))
    again = await desk("apply", "--file", str(file))
    assert again == (status, screen)
    assert await owner.fetchval("select count(*) from card.application") == 127
    assert await owner.fetchval("select count(*) from card.application where state = 1") == 127  # they wait for photos
    for person in people:
        assert person.split(",")[1] not in screen + file.with_suffix(".rejects.csv").read_text()


async def test_a_count_that_differs_refuses_the_whole_file(desk: Desk, owner: Owner) -> None:
    people = [line(number) for number in range(1, 6)]
    for told in (4, 6):
        status, screen = await desk("apply", "--file", str(desk.batch(people, told=told)))
        assert (status, "BATCH_DIFFERS_FROM_HEADER" in screen) == (2, True), screen
    assert await owner.fetchval("select count(*) from card.batch") == 0
    status, screen = await desk("apply", "--file", str(desk.batch(people[:1], columns="name,phone")))
    assert (status, "line 2" in screen) == (2, True), screen


async def test_a_file_that_was_cut_off_goes_on_under_its_id(desk: Desk, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit_batch, "ROWS_A_TRANSACTION", 10)
    calls = 0

    async def cut_off(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise DomainError(Code.UNAVAILABLE, "CUT_OFF", "")
        await add_rows(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(submit_batch, "add_rows", cut_off)
    file = desk.batch([line(number) for number in range(1, 36)])
    status, screen = await desk("apply", "--file", str(file))
    assert (status, "hand the same file in again" in screen) == (3, True), screen
    assert await owner.fetchval("select count(*) from card.application") == 20
    status, screen = await desk("apply", "--file", str(file))
    assert (status, "35 accepted, 0 refused" in screen) == (0, True), screen
    assert await owner.fetchval("select count(*) from card.application") == 35
    assert await owner.fetchval("select count(*) from card.holder") == 35


async def test_photos_come_behind_the_rows_and_a_refused_one_is_brought_again(desk: Desk, owner: Owner) -> None:
    (desk.folder / "1.jpg").write_bytes(good_photo())
    (desk.folder / "2.jpg").write_bytes(b"no photo")
    (desk.folder / "3.jpg").write_bytes(bytes(70_000))
    photos = ("1.jpg", "2.jpg", "3.jpg", "")
    file = desk.batch([line(i, more=f",{photo}") for i, photo in enumerate(photos, 1)], columns="name,number,phone,photo")
    status, screen = await desk("apply", "--file", str(file))
    assert (status, "3 photos, of which 2 were refused" in screen) == (1, True), screen
    assert [row[:2] for row in rejects(file)] == [["4", "PHOTO_NOT_ACCEPTED"], ["5", "TOO_LARGE"]]
    states = "select state from card.application order by batch_row"
    assert [row[0] for row in await owner.fetch(states)] == [2, 1, 1, 1]
    for photo in photos[1:3]:
        (desk.folder / photo).write_bytes(good_photo())
    status, screen = await desk("apply", "--file", str(file))
    assert status == 0, screen
    assert not file.with_suffix(".rejects.csv").exists()
    assert [row[0] for row in await owner.fetch(states)] == [2, 2, 2, 1]
    assert await owner.fetchval("select count(*) from card.photo") == 3


async def test_a_clerk_lets_a_point_of_a_photo_pass_with_a_reason_and_says_who_is_somebody_else(
    desk: Desk, owner: Owner
) -> None:
    far = desk.folder / "far.jpg"
    far.write_bytes(jpeg(portrait(FAR_AWAY)))
    form = "\n".join([citizen_number(1), "李某某", "01", "13812345678"])
    status, screen = await desk("apply", "--photo", str(far), typed=form)
    assert status == 1, screen
    (point,) = re.findall(r"--let-pass\s+(\d+)=", screen)
    assert (await desk("apply", "--photo", str(far), "--let-pass", point, typed=form))[0] == 2
    status, screen = await desk("apply", "--photo", str(far), "--let-pass", f"{point}=头巾", typed=form)
    assert status == 0, screen
    assert await owner.fetchval("select overrides = array[$1::smallint] and reason = '头巾' from card.photo", int(point))
    passport = "\n".join(["E12345678", "GBR", "李某某", "1990-01-01", "GBR", "13812345678"])
    status, screen = await desk("apply", "--document", "passport", typed=passport)
    (other,) = re.findall(r"--other-person\s+(\d+)", screen)
    status, screen = await desk("apply", "--document", "passport", "--other-person", other, typed=passport)
    assert status == 0, screen
    assert await owner.fetchval("select count(*) from card.holder") == 2
    status, screen = await desk("applications", "--state", "awaiting-photo", "--outlet", "440703-01")
    assert (status, screen.count("first")) == (0, 1), screen


async def test_a_phone_is_changed_at_a_window_and_stands_in_no_history(desk: Desk, owner: Owner) -> None:
    _, card = await issued(desk.hall, desk.clerk)
    holder = str(await owner.fetchval("select holder from card.card where id = $1", card))
    status, screen = await desk("change-contact", holder, typed="13900001111\n\n")
    assert (status, "changed" in screen) == (0, True), screen
    status, screen = await desk("change-contact", holder, typed="13900001111\n\n")
    assert (status, "NOTHING_TO_CORRECT" in screen) == (1, True), screen
    parent = ["parent", "resident-id", citizen_number(5), "李某某", "户口簿"]
    status, screen = await desk("change-contact", holder, "--guardian", typed="\n".join(["13900002222", "", *parent]))
    assert (status, "NOT_A_MINOR" in screen) == (1, True), screen
    status, screen = await desk("change-contact", holder, typed="\n\n")
    assert (status, "BAD_REQUEST" in screen) == (2, True), screen


async def test_a_clerk_reads_of_a_number_whose_region_is_in_doubt_and_of_a_row_whose_name_is_beyond_the_chip(
    desk: Desk,
) -> None:
    form = "\n".join(["44079919900101001X", "李某某", "01", "13812345678"])
    status, screen = await desk("apply", typed=form)
    assert (status, "区划代码" in screen) == (0, True), screen
    file = desk.batch([line(1), f"李\N{CJK UNIFIED IDEOGRAPH-4DAE},{citizen_number(2)},13812345678"])
    status, screen = await desk("apply", "--file", str(file))
    assert (status, "line 4: the name is more than bank file, chip can carry" in screen) == (0, True), screen


async def test_a_guardian_applies_for_a_child_and_the_work_list_shows_what_waits(desk: Desk, owner: Owner) -> None:
    await owner.execute("select setval('card.card_id', 100)")
    lying, card = await issued(desk.hall, desk.clerk, 3)
    await owner.execute("update card.application set update_time = now() - interval '31 days' where id = $1", lying)
    status, screen = await desk("work-list", "--kind", "lying")
    assert (status, str(card) in screen, "440703" in screen) == (0, True, False), screen
    child = "44070320190101001"
    form = [child + mod_11_2.calc_check_digit(child), "李小某", "01", "13812345678"]
    parent = ["parent", "resident-id", citizen_number(5), "李某某", "户口簿"]
    status, screen = await desk("apply", typed="\n".join(form))
    assert (status, "GUARDIAN_NEEDED" in screen) == (1, True), screen
    guardian = ("apply", "--by", "guardian")
    status, screen = await desk(*guardian, typed="\n".join([*form, *parent]))
    assert (status, "CONSENT_NEEDED" in screen) == (1, True), screen
    status, screen = await desk(*guardian, "--consent", "minor", typed="\n".join([*form, *parent]))
    assert status == 0, screen
    sealed = "select papers is not null from card.application where route = 2"
    assert await owner.fetchval(sealed)


async def test_a_guardian_limits_what_a_child_spends_and_lifts_the_limits_again(desk: Desk, owner: Owner) -> None:
    child = "44070320190101001"
    form = [child + mod_11_2.calc_check_digit(child), "李小某", "01", "13812345678"]
    parent = ["parent", "resident-id", citizen_number(5), "李某某", "户口簿"]
    await desk("apply", "--by", "guardian", "--consent", "minor", typed="\n".join([*form, *parent]))
    holder = str(await owner.fetchval("select id from card.holder"))
    by_parent = "\n".join(parent)
    status, screen = await desk("limit-spending", holder, typed=by_parent)
    assert (status, "name limits, or --lift" in screen) == (2, True), screen
    status, screen = await desk("limit-spending", holder, "--day", "20", "--payments", "5", "--scenic", "0", typed=by_parent)
    said = "a guardian allows at most 20.00 yuan a day, 5 payments a day, 0.00 yuan a day at sites"
    assert (status, said in " ".join(screen.split())) == (0, True), screen
    status, screen = await desk("view", "--holder", holder)
    assert (status, said in " ".join(screen.split())) == (0, True), screen
    status, screen = await desk("limit-spending", holder, "--lift", typed=by_parent)
    assert (status, "no guardian limits anything" in screen) == (0, True), screen
    status, screen = await desk("view", "--holder", holder)
    assert (status, "guardian allows" in screen) == (0, False), screen


async def test_a_pin_is_keyed_in_unseen_and_lets_its_holder_act_alone_at_a_kiosk(desk: Desk, owner: Owner) -> None:
    _, card = await issued(desk.hall, desk.clerk)
    number, twice = str(card), f"{PIN}\n{PIN}\n"
    heard = [
        await desk("collect", number, "--pin", typed=twice),
        await desk("enable", number),
        await desk("verify-pin", number, typed=f"{PIN}\n"),
        await desk("change-pin", number, typed=f"{PIN}\n{OTHER_PIN}\n{OTHER_PIN}\n"),
        await desk("reset-pin", number, typed=twice),
    ]
    waits, screen = await desk("reset-pin", number, "--without-document", typed=twice)
    assert (waits, "onecard window approve" in screen) == (1, True)
    chip = await owner.fetchval("select card_identifier from card.card where id = $1", card)
    wrong, screen = await desk("show-card", chip, typed=f"{OTHER_PIN}\n", at="kiosk")
    assert (wrong, "PIN_WRONG" in screen) == (1, True)
    heard += [
        await desk("show-card", chip, typed=f"{PIN}\n", at="kiosk"),
        await desk("view", at="kiosk"),
        await desk("leave", at="kiosk"),
        await desk("show-card", chip, typed=f"{PIN}\n", at="kiosk"),
        await desk("report-temporary-loss", number, at="kiosk"),
    ]
    assert [status for status, _ in heard] == [0] * len(heard), heard
    assert not [screen for _, screen in heard if PIN in screen or OTHER_PIN in screen]
    gone, screen = await desk("view", at="kiosk")
    assert (gone, "onecard kiosk show-card" in screen) == (2, True)


async def test_cash_that_waits_is_handed_out_by_command(desk: Desk, owner: Owner) -> None:
    application, _ = await issued(desk.hall, desk.clerk, 1)
    holder = await owner.fetchval("update card.application set state = 10 where id = $1 returning holder", application)
    await owner.execute(
        "insert into card.fee (application, amount_fen, source, state, terminal) values ($1, 2000, 1, 2, $2)",
        application,
        WINDOW,
    )
    _, screen = await desk("work-list", "--kind", "fee-to-hand-out")
    assert str(application) in screen
    assert await desk("hand-out", str(holder)) == (0, "to be handed out: 20.00 yuan\n")
    status, screen = await desk("hand-out", str(holder))
    assert (status, "NOTHING_TO_HAND_OUT" in screen) == (1, True)
