"""A batch of vouchers as a sheet to be printed: for the API and the commands alike."""

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from db import audit, voucher
from db.plan import Plan
from db.refusal import Conflict
from db.tenant import Tenant
from isp import voucher_words as words
from isp.encryption import Keyring
from isp.voucher import printed
from isp.voucher_sheet import Sheet, Slip, render


def pdf(session: Session, batch_id: int, login_url: str | None, keyring: Keyring, now: datetime) -> bytes:
    """What is unused of the batch. That it was printed stands in the audit log.

    Raises NotFound; Conflict `used_up` where nothing is left to be sold.
    """
    batch = voucher.batch_by_id(session, batch_id)
    audit.note(session, "voucher_batch", batch.id)
    unused = [each.code for each in voucher.sheet(session, batch.id, keyring) if each.state == "unused"]
    if not unused:
        raise Conflict("Nothing of this batch is unused.", code="used_up")
    plan, owner = session.get_one(Plan, batch.plan_id), session.get_one(Tenant, batch.tenant_id)
    expires_at = batch.expires_at.astimezone(ZoneInfo(owner.timezone)) if batch.expires_at else None
    sheet = Sheet(
        title=owner.name,
        plan=plan.name,
        price=words.price(plan.price_kes),
        validity=words.validity(plan.validity_unit, plan.validity_count, owner.language),
        use_before=words.use_before(expires_at, owner.language) if expires_at else None,
        how_to=words.how_to(owner.language, with_link=login_url is not None),
        login_url=login_url,
    )
    slips = [Slip(code, printed(code)) for code in unused]
    return render(sheet, slips, now.astimezone(ZoneInfo(owner.timezone)))
