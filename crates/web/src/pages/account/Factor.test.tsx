import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';
import { draw, faultOfField } from '../../testing/draw';
import { service, wrongFields } from '../../testing/service';
import { Factor } from './Factor';

const BEGUN = { success: true, message: '', secret: 'JBSWY3DPEHPK3PXP', uri: 'otpauth://totp/a?secret=JBSWY3DPEHPK3PXP' };

describe('Factor', () => {
  const begin = async (): Promise<void> => {
    draw(<Factor />);
    await userEvent.click(await screen.findByRole('button', { name: '인증 앱 설정하기' }));
    await userEvent.type(await screen.findByLabelText('인증 코드'), '123456');
    await userEvent.click(screen.getByRole('button', { name: '확인하기' }));
  };

  it('shows the app’s key and, once a code was shown, the recovery codes', async () => {
    const codes = ['aaaaaaaa-bbbbbbbb', 'cccccccc-dddddddd'];
    const asked = service({
      'POST /api/auth/factor': { status: 201, body: BEGUN },
      'POST /api/auth/factor/confirm': { body: { success: true, message: '', recovery_codes: codes } },
    });
    await begin();
    expect(await screen.findByText(/aaaaaaaa-bbbbbbbb/)).toBeTruthy();
    expect(asked[1]?.body).toEqual({ code: '123456' });
  });

  it('tells that a code is wrong', async () => {
    service({
      'POST /api/auth/factor': { status: 201, body: BEGUN },
      'POST /api/auth/factor/confirm': wrongFields({ code: '올바르지 않습니다' }),
    });
    await begin();
    expect(await screen.findByText('올바르지 않습니다')).toBeTruthy();
    expect(faultOfField(screen.getByLabelText('인증 코드'))).toContain('올바르지 않습니다');
    expect(screen.getByText('JBSWY3DPEHPK3PXP')).toBeTruthy();
  });
});
